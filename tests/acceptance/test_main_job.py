"""A batch from the PUT to its 207, as an integration engineer meets it."""

import gzip
import hashlib
import json
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
import zstandard
from tests.acceptance.system import System
from tests.builders import a_case


def test_a_batch_is_accepted_applied_and_answered_item_by_item(system: System, first_key: int) -> None:
    cases = [
        a_case(first_key, case_Reason="one"),
        a_case(first_key + 1, case_Status="far too long"),
        a_case(first_key),
        {"carePlan_Key": 5},
    ]
    body = json.dumps(cases).encode()
    with system.client() as client:
        accepted = client.put(
            "/care-plans/5/cases-batch", content=body, headers={"Content-Type": "application/json; charset=utf-8"}
        )
    assert accepted.status_code == 202
    document = accepted.json()
    job = document["job"]
    assert (document["data"], document["error"]) == (None, None)
    assert document["debug"]["activityID"] == job["jobId"]
    assert accepted.headers["location"] == f"/jobs/{job['jobId']}"
    assert 1 <= int(accepted.headers["retry-after"]) <= 60
    assert UUID(job["jobId"]).version == 7
    assert job["bodySha256"] == hashlib.sha256(body).hexdigest()
    assert (job["total"], job["carePlanKey"], job["database"]) == (4, 5, "demo")

    final = system.final(job["jobId"])
    assert final["state"] == "completed"
    counts = {name: final[name] for name in ("processed", "created", "updated", "superseded", "failed", "cancelled")}
    assert counts == {"processed": 4, "created": 1, "updated": 1, "superseded": 0, "failed": 2, "cancelled": 0}
    moments = [datetime.fromisoformat(final[f"{name}At"]) for name in ("submitted", "started", "finished", "expires")]
    assert moments == sorted(moments)

    def item(key: int | None, status: int, text: str) -> dict[str, Any]:
        return {"id": [{"key": "case_Key", "value": key}], "status": status, "body": text}

    assert system.result(job["jobId"]) == [
        item(first_key, 201, "Created"),
        item(first_key + 1, 422, "case_Status: must have at most 8 characters"),
        item(first_key, 200, "Updated"),
        item(None, 422, "case_Key: is required; do_Not_Contact: is required"),
    ]
    assert system.query(f"SELECT case_reason FROM care_case WHERE case_key = {first_key}") == [(None,)]


@pytest.mark.parametrize("database", ["demo", "demo_sqlite"])
def test_a_hundred_thousand_cases_in_one_go(system: System, first_key: int, database: str) -> None:
    cases = [a_case(first_key + n, case_ID=f"case {n}") for n in range(100_000)]
    job_id = system.send(cases, database=database)
    job = system.final(job_id)
    seconds = (datetime.fromisoformat(job["finishedAt"]) - datetime.fromisoformat(job["submittedAt"])).total_seconds()
    print(f"{database}: 100,000 cases in {seconds:.1f} s after the 202")
    assert (job["created"], job["processed"]) == (100_000, 100_000)
    items = system.result(job_id)
    assert [item["id"][0]["value"] for item in items] == list(range(first_key, first_key + 100_000))
    assert {item["status"] for item in items} == {201}
    inside = f"case_key >= {first_key} AND case_key < {first_key + 100_000}"
    assert system.query(f"SELECT count(*), count(DISTINCT case_id) FROM care_case WHERE {inside}", database) == [
        (100_000, 100_000)
    ]


def test_a_body_may_be_lines_and_compressed(system: System, first_key: int) -> None:
    lines = b"\n".join(json.dumps(a_case(first_key + n)).encode() for n in range(3)) + b"\n\n"
    array = json.dumps([a_case(first_key + n) for n in range(3)]).encode()
    bodies = [
        ("application/x-ndjson", None, lines),
        ("application/x-ndjson", "gzip", gzip.compress(lines)),
        ("text/json", "zstd", zstandard.compress(array)),
        ("application/merge-patch+json", "gzip", gzip.compress(array[:20]) + gzip.compress(array[20:])),
    ]
    with system.client() as client:
        for content_type, encoding, body in bodies:
            headers = {"Content-Type": content_type, **({"Content-Encoding": encoding} if encoding else {})}
            accepted = client.put("/care-cases-batch", content=body, headers=headers)
            assert accepted.status_code == 202, accepted.text
            assert system.final(accepted.json()["job"]["jobId"])["processed"] == 3


def test_an_item_that_no_parser_likes_is_answered_alone(system: System, first_key: int) -> None:
    deep = "[" * 970 + "]" * 970
    items = [
        json.dumps(a_case(first_key)),
        json.dumps(a_case(first_key + 1))[:-1] + f', "x": {deep}}}',
        json.dumps(a_case(first_key + 2, case_ID="?")).replace("?", "\\ud800"),
        json.dumps(a_case(first_key + 3, x="y" * 300_000)),
        json.dumps(a_case(first_key + 4, case_ID="?")).replace("?", "\\u0000"),
    ]
    with system.client() as client:
        for content_type, body in (
            ("application/json", f"[{','.join(items)}]"),
            ("application/x-ndjson", "\n".join(items)),
        ):
            sent = client.put("/care-cases-batch", content=body, headers={"Content-Type": content_type})
            assert sent.status_code == 202, sent.text
            result = system.result(sent.json()["job"]["jobId"])
            assert [item["id"][0]["value"] for item in result] == [first_key + n for n in range(5)]
            bodies = [item["body"] for item in result]
            assert {*bodies[:2]} <= {"Created", "Updated"}
            assert bodies[2:] == [
                "case_ID: must not contain U+0000 or a lone surrogate",
                "item: must have at most 262144 bytes",
                "case_ID: must not contain U+0000 or a lone surrogate",
            ]


def test_the_result_is_not_there_before_the_job_is_final(system: System, first_key: int) -> None:
    job_id = system.send([a_case(first_key + n) for n in range(30_000)])
    with system.client() as client:
        early = client.get(f"/jobs/{job_id}/result")
        assert early.status_code == 202
        assert early.json()["job"]["jobId"] == job_id
        assert int(early.headers["retry-after"]) >= 1
        system.final(job_id)
        assert client.get(f"/jobs/{job_id}/result").status_code == 207


def test_a_job_that_did_not_change_is_not_sent_again(system: System, first_key: int) -> None:
    job_id = system.send([a_case(first_key)])
    system.final(job_id)
    with system.client() as client:
        first = client.get(f"/jobs/{job_id}")
        assert client.get(f"/jobs/{job_id}", headers={"If-None-Match": first.headers["etag"]}).status_code == 304


def test_the_same_idempotency_key_never_makes_a_second_job(system: System, first_key: int) -> None:
    key = {"Idempotency-Key": f"key-{first_key}"}
    with system.client() as client:
        jobs = {
            client.put("/care-cases-batch", json=[a_case(first_key)], headers=key).json()["job"]["jobId"]
            for _ in range(3)
        }
        assert len(jobs) == 1
        other = client.put("/care-cases-batch", json=[a_case(first_key + 1)], headers=key)
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["error"]["detail"]


def test_a_job_is_its_clients_alone(system: System, first_key: int) -> None:
    job_id = system.send([a_case(first_key)])
    with system.client("other") as stranger:
        hidden = stranger.get(f"/jobs/{job_id}")
        absent = stranger.get(f"/jobs/{UUID(int=5)}")
    assert hidden.status_code == absent.status_code == 404
    assert hidden.json()["error"]["detail"] == absent.json()["error"]["detail"]


def test_a_cancelled_job_says_of_each_item_what_is_true(system: System, first_key: int) -> None:
    total = 150_000
    job_id = system.send([a_case(first_key + n) for n in range(total)])
    with system.client() as client:
        cancelled = client.delete(f"/jobs/{job_id}")
        assert cancelled.status_code == 202
        final = system.final(job_id)
        assert client.delete(f"/jobs/{job_id}").status_code == 409
    assert final["state"] == "cancelled"
    assert final["created"] + final["cancelled"] == total
    applied = {item["id"][0]["value"] for item in system.result(job_id) if item["status"] == 201}
    inside = f"case_key >= {first_key} AND case_key < {first_key + total}"
    assert {key for (key,) in system.query(f"SELECT case_key FROM care_case WHERE {inside}")} == applied
