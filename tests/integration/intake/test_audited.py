"""The audit log of an intake: a record before each access to cases, by whom, from where, and to how many."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import jwt
import pytest
import redis
from starlette.requests import Request
from tests.acceptance.system import eventually
from tests.builders import a_batch, a_case
from tests.integration.audit.logs import a_log, lines_of, verified
from tests.integration.intake.intakes import SECRET, Intake, an_intake
from tests.services import Services

from carecase_worker.audit.records import Event
from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import ChunkOutcomes, pack_done
from carecase_worker.cases.outcomes import CREATED, UNAVAILABLE
from carecase_worker.intake.access.audit_trail import Audited, Recorder
from carecase_worker.intake.access.authenticator import Caller
from carecase_worker.store.operations.claims import ChunkResult

BATCH = "/care-cases-batch"
SUBJECT = "j.doe@clinic.example, of the night shift \N{GREEK SMALL LETTER OMEGA}"
CHAIN = ("number", "at", "activity", "previous", "hash")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audited") / "log"


@pytest.fixture(scope="module")
def intake(servers: Services, place: Path) -> Iterator[Intake]:
    sections: dict[str, Any] = {"audit": {"directory": str(place)}, "intake": {"trusted_proxies": ["127.0.0.1"]}}
    with an_intake(servers.redis_url, "audited:", jobs={"chunk_items": 4}, **sections) as started:
        yield started
    assert verified(place) == ([], [])


@contextmanager
def client_of(intake: Intake, **headers: str) -> Iterator[httpx.Client]:
    claims = {"sub": SUBJECT, "client_id": "ann", "exp": 4_000_000_000}
    token = jwt.encode(claims, SECRET, "HS256")
    with intake.client(authorization=f"Bearer {token}", **{"x-forwarded-for": "192.0.2.7", **headers}) as client:
        yield client


def recorded(place: Path, before: int) -> list[dict[str, Any]]:
    """The records behind so many, without what chains them."""
    expected = [json.loads(line) for line in lines_of(place)[before:]]
    assert [record["number"] for record in expected] == list(range(before + 1, before + 1 + len(expected)))
    return [{name: value for name, value in record.items() if name not in CHAIN} for record in expected]


def record(event: str, job: str | None, count: int | None, **changes: Any) -> dict[str, Any]:
    expected = {"event": event, "client": "ann", "subject": SUBJECT, "peer": "192.0.2.7", "database": "demo"}
    return {**expected, "job": job, "count": count, **changes}


def job_of(response: httpx.Response) -> str:
    assert response.status_code == 202, response.text
    return str(response.json()["job"]["jobId"])


def test_a_batch_and_each_reading_of_its_result_is_recorded_by_what_was_given(intake: Intake, place: Path) -> None:
    before = len(lines_of(place))
    outcomes = [CREATED] * 5 + [UNAVAILABLE] * 2
    with client_of(intake) as client:
        job = job_of(client.put(BATCH, content=a_batch(*(a_case(key) for key in range(7)))))
        assert client.get(f"/jobs/{job}/result").status_code == 202, "there is none yet"
        intake.finish(job, outcomes)
        for query, count in (
            ("", 7), ("?page=1&pageSize=1", 1), ("?page=2&pageSize=4", 3), ("?page=3&pageSize=4", 0),
            ("?outcome=failed", 2), ("?outcome=created&page=1&pageSize=4", 4), ("?outcome=updated", 0),
        ):  # fmt: skip
            response = client.get(f"/jobs/{job}/result{query}")
            assert (response.status_code, len(response.json()["data"])) == (207, count), query
        client.head(f"/jobs/{job}/result")
        client.get(f"/jobs/{job}")
        client.get("/jobs")
    reads = [record("read", job, count) for count in (7, 1, 3, 0, 2, 4, 0)]
    assert recorded(place, before) == [record("sent", job, 7), *reads], "status, list and HEAD give no case"
    document = json.loads(lines_of(place)[before])
    assert len(document["activity"]) == 36


def test_a_result_read_by_put_is_a_reading(intake: Intake, place: Path) -> None:
    before = len(lines_of(place))
    with client_of(intake, **{"idempotency-key": "read by PUT", "prefer": "wait=1"}) as client:
        first = client.put(BATCH, content=a_batch(a_case(1), a_case(2)))
        job = job_of(first)
        intake.finish(job, [CREATED, CREATED])
        assert client.put(BATCH, content=a_batch(a_case(1), a_case(2))).status_code == 207
    sent, again, void, read = recorded(place, before)
    assert (sent, read) == (record("sent", job, 2), record("read", job, 2))
    assert again["job"] not in (job, None)
    assert (again, void) == (record("sent", again["job"], 2), record("void", again["job"], None))


def test_what_is_refused_is_void(intake: Intake, place: Path) -> None:
    before = len(lines_of(place))
    with client_of(intake, **{"idempotency-key": "used"}) as client:
        job = job_of(client.put(BATCH, content=a_batch(a_case(1))))
        assert client.put(BATCH, content=a_batch(a_case(2))).status_code == 422
        assert client.put(BATCH, content=b"[").status_code == 400
        assert client.put(BATCH, content=a_batch(a_case(1)), headers={"vbasoftware-database": "x"}).status_code == 403
    sent, again, void = recorded(place, before)
    assert sent == record("sent", job, 1)
    assert (again["event"], void) == ("sent", record("void", again["job"], None))


def test_validating_cancelling_and_retrying_are_recorded(intake: Intake, place: Path) -> None:
    before = len(lines_of(place))
    with client_of(intake) as client:
        response = client.put(f"{BATCH}?validateOnly=true", content=a_batch(a_case(1), "no case", a_case(3)))
        assert response.status_code == 207
        job = job_of(client.put(BATCH, content=a_batch(a_case(1), a_case(2))))
        assert client.delete(f"/jobs/{job}").status_code == 202
        other = job_of(client.put(BATCH, content=a_batch(a_case(1), a_case(2), a_case(3))))
        intake.finish(other, [CREATED, UNAVAILABLE, UNAVAILABLE])
        assert client.delete(f"/jobs/{other}").status_code == 409
        again = job_of(client.post(f"/jobs/{other}/retry"))
    with intake.client("bob") as stranger:
        assert stranger.get(f"/jobs/{other}/result").status_code == 404
        assert stranger.delete(f"/jobs/{other}").status_code == 404
    assert recorded(place, before) == [
        record("validated", None, 3), record("sent", job, 2), record("cancelled", job, 2), record("sent", other, 3),
        record("retried", again, 2),
    ]  # fmt: skip


def test_the_head_of_a_stream_reads_nothing(intake: Intake, place: Path) -> None:
    with client_of(intake) as client:
        job = job_of(client.put(BATCH, content=a_batch(a_case())))
        before = len(lines_of(place))
        assert client.head(f"/jobs/{job}/events").status_code == 200
    assert recorded(place, before) == []


def test_of_a_cancelled_job_what_was_not_applied_yet_is_counted(intake: Intake, place: Path) -> None:
    with client_of(intake) as client:
        job = job_of(client.put(BATCH, content=a_batch(*(a_case(key) for key in range(5)))))
        ref = ChunkRef(job, 0)
        intake.store.leases.claim(ref, "tests")
        packed = pack_done(ChunkOutcomes(range(4), [CREATED] * 4))
        intake.store.leases.complete(ref, ChunkResult(packed, {"created": 4}))
        before = len(lines_of(place))
        assert client.delete(f"/jobs/{job}").status_code == 202
    assert recorded(place, before) == [record("cancelled", job, 1)]


@pytest.mark.parametrize(
    ("forwarded", "peer"),
    [("192.0.2.9", "192.0.2.9"), ("::ffff:192.0.2.9", "192.0.2.9"), ("<script>", "127.0.0.1"), ("", "127.0.0.1")],
)
def test_the_peer_is_whom_the_proxy_names_or_the_proxy(intake: Intake, place: Path, forwarded: str, peer: str) -> None:
    before = len(lines_of(place))
    with client_of(intake, **{"x-forwarded-for": forwarded}) as client:
        job = job_of(client.put(BATCH, content=a_batch(a_case(1))))
    assert recorded(place, before) == [record("sent", job, 1, peer=peer)]


def test_the_peer_is_believed_from_nobody_else(servers: Services, tmp_path: Path) -> None:
    with (
        an_intake(servers.redis_url, "unproxied:", audit={"directory": str(tmp_path)}) as intake,
        client_of(intake) as client,
    ):
        job = job_of(client.put(BATCH, content=a_batch(a_case(1))))
    assert recorded(tmp_path, 0) == [record("sent", job, 1, peer="127.0.0.1")]


def test_what_cannot_be_recorded_is_not_done(servers: Services, tmp_path: Path) -> None:
    place = tmp_path / "log"
    with (
        an_intake(servers.redis_url, "unrecorded:", audit={"directory": str(place)}) as intake,
        client_of(intake) as client,
    ):
        job = job_of(client.put(BATCH, content=a_batch(a_case(1), a_case(2))))
        intake.finish(job, [CREATED, UNAVAILABLE])
        open_job = job_of(client.put(BATCH, content=a_batch(a_case(1))))
        place.rename(tmp_path / "away")
        calls = [
            ("PUT", BATCH, a_batch(a_case(3))), ("PUT", f"{BATCH}?validateOnly=true", a_batch(a_case(3))),
            ("GET", f"/jobs/{job}/result", b""), ("GET", f"/jobs/{job}/result?page=1", b""),
            ("DELETE", f"/jobs/{open_job}", b""), ("POST", f"/jobs/{job}/retry", b""),
        ]  # fmt: skip
        for method, path, content in calls:
            response = client.request(method, path, content=content)
            error = response.json()["error"]
            assert (response.status_code, error["type"]) == (503, "urn:carecase:problem:audit-unavailable"), path
            assert response.json()["data"] is None
            assert response.headers["retry-after"] == "5"
            assert str(tmp_path) not in response.text
        assert [expected["jobId"] for expected in client.get("/jobs").json()["data"]] == [open_job, job]
        assert client.get(f"/jobs/{open_job}").json()["data"]["state"] == "queued"
        (tmp_path / "away").rename(place)
        assert client.get(f"/jobs/{job}/result").status_code == 207
        metrics = client.get("/metrics").text.splitlines()
    assert {"carecase_audit_records 3.0", f"carecase_audit_failures_total {len(calls)}.0"} <= set(metrics)
    assert [expected["event"] for expected in recorded(place, 0)] == ["sent", "sent", "read"]
    assert verified(place) == ([], [])


def test_a_refusal_that_cannot_be_recorded_is_still_that_refusal(tmp_path: Path) -> None:
    place = tmp_path / "log"
    with a_log(place) as log:
        request = Request({"type": "http", "client": ("192.0.2.7", 1)})
        audited = Audited(Recorder(log), request, Caller("ann", SUBJECT, frozenset({"demo"})))
        audited.record(Event.SENT, "demo", "a job", 1)
        place.rename(tmp_path / "away")
        audited.void("demo", "a job")
        (tmp_path / "away").rename(place)
    assert [expected["event"] for expected in recorded(place, 0)] == ["sent"]


def test_a_batch_is_accepted_though_the_reading_of_its_result_cannot_be_recorded(
    servers: Services, tmp_path: Path
) -> None:
    place = tmp_path / "log"
    with (
        an_intake(servers.redis_url, "unread:", audit={"directory": str(place)}) as intake,
        client_of(intake) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        asked = threads.submit(client.put, BATCH, content=a_batch(a_case(1)), headers={"prefer": "wait=50"})
        eventually(lambda: intake.store.workload.backlog("demo")[0] == 1, what="the batch is accepted")
        place.rename(tmp_path / "away")
        (job,) = client.get("/jobs").json()["data"]
        intake.finish(job["jobId"], [CREATED])
        response = asked.result(60)
        (tmp_path / "away").rename(place)
    assert (job_of(response), response.json()["data"]) == (job["jobId"], None)
    assert recorded(place, 0) == [record("sent", job["jobId"], 1, peer="127.0.0.1")]


def test_a_result_that_is_gone_is_not_read(intake: Intake, place: Path, servers: Services) -> None:
    before = len(lines_of(place))
    with client_of(intake) as client, redis.Redis.from_url(servers.redis_url) as server:
        job = job_of(client.put(BATCH, content=a_batch(a_case(1))))
        intake.finish(job, [CREATED])
        server.unlink(intake.store.keys.outcome(job))
        assert client.get(f"/jobs/{job}/result").status_code == 410
    assert recorded(place, before) == [record("sent", job, 1)]


def test_the_log_has_the_whole_subject_and_cases_have_as_much_as_their_field_takes(intake: Intake) -> None:
    """A longer user would be refused by the database with each case."""
    with client_of(intake) as client:
        job = job_of(client.put(BATCH, content=a_batch(a_case(1))))
        intake.finish(job, [UNAVAILABLE])
        again = job_of(client.post(f"/jobs/{job}/retry"))
    users = [intake.store.jobs.job(each).user for each in (job, again)]
    assert users == ["j.doe@clinic.example"] * 2 == [SUBJECT[:20]] * 2


def test_nothing_is_kept_of_a_large_batch_that_cannot_be_recorded(servers: Services, tmp_path: Path) -> None:
    """A part of it was staged before that was known."""
    place, cases = tmp_path / "log", [a_case(key, x=token_hex(2000)) for key in range(1500)]
    with (
        an_intake(
            servers.redis_url, "unkept:", audit={"directory": str(place)}, jobs={"chunk_bytes": 1 << 18}
        ) as intake,
        client_of(intake) as client,
        redis.Redis.from_url(servers.redis_url) as server,
    ):
        place.rename(tmp_path / "away")
        assert client.put(BATCH, content=a_batch(*cases)).status_code == 503
        assert list(server.scan_iter("unkept:payload:*", count=1000)) == []
        assert int(server.hget("unkept:kept:demo", "bytes") or 0) == 0
        (tmp_path / "away").rename(place)
        job = job_of(client.put(BATCH, content=a_batch(*cases)))
        intake.finish(job, [UNAVAILABLE] * len(cases))
        kept = [set(server.scan_iter("unkept:payload:*", count=1000)), server.hget("unkept:kept:demo", "bytes")]
        assert all(kept), "what is looked for here is found where it is kept"
        place.rename(tmp_path / "away")
        assert client.post(f"/jobs/{job}/retry").status_code == 503
        assert kept == [set(server.scan_iter("unkept:payload:*", count=1000)), server.hget("unkept:kept:demo", "bytes")]
        (tmp_path / "away").rename(place)


def test_no_value_of_a_case_is_recorded(intake: Intake, place: Path) -> None:
    marked = a_case(1_618_033_988, case_Reason="Ozymandias", case_Status="Ozymandias")
    with client_of(intake) as client:
        job = job_of(client.put(BATCH, content=a_batch(marked, "Ozymandias")))
        intake.finish(job, [CREATED, UNAVAILABLE], first_key=1_618_033_988)
        client.get(f"/jobs/{job}/result")
        client.put(f"{BATCH}?validateOnly=true", content=a_batch(marked))
    whole = b"".join(lines_of(place))
    assert job.encode() in whole
    assert b"Ozymandias" not in whole
    assert b"16180339" not in whole
