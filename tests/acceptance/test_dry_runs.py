"""`dryRun=true`: a job that goes the whole way, says what would become of each item, and leaves nothing behind."""

import json
from typing import Any

import pytest
from tests.acceptance.system import System, eventually, run
from tests.builders import a_case

BAD = {"case_Status": "far too long"}
REAL = {"Would be created": "Created", "Would be updated": "Updated", "Unchanged": "Updated"}


def cases_and_ledger(system: System, first_key: int, database: str = "demo") -> tuple[list[Any], list[Any]]:
    """The cases of a test, and how many chunks the ledger has."""
    inside = f"case_key >= {first_key} AND case_key < {first_key + 100}"
    cases = system.query(f"SELECT * FROM care_case WHERE {inside} ORDER BY case_key", database)
    return cases, system.query("SELECT job_id, chunk_no FROM ingest_ledger ORDER BY 1, 2", database)


def tally(system: System, name: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in system.metrics() if line.startswith(name))
    return {labels: float(value) for labels, _, value in lines}


def settle_tallies(system: System) -> None:
    """Wait until the page of metrics, which is kept for a second, is newer than all that was recorded so far."""
    records = sum(len(path.read_text().splitlines()) for path in (system.data_dir / "audit").glob("*.jsonl"))
    name = "carecase_audit_records"
    eventually(lambda: tally(system, name)[name] >= records, what="the page of metrics is new")


@pytest.mark.parametrize("database", ["demo", "demo_sqlite"])
def test_a_dry_run_says_what_the_real_run_then_does(system: System, first_key: int, database: str) -> None:
    one, two, three, four = (first_key + n for n in range(4))
    cases = [
        a_case(one, case_Reason="B", case_Score=2),
        a_case(two),
        a_case(three),
        a_case(four),
        a_case(four, case_ID="again"),
        a_case(first_key + 5, **BAD),
    ]
    with system.client(database=database, Prefer="wait=60") as client:
        client.put("/care-cases-batch", json=[a_case(one, case_Reason="A"), a_case(two)])
        sent = client.put("/care-plans/6/cases-batch", json=[a_case(three, carePlan_Key=6)])
        assert [item["status"] for item in sent.json()["data"]] == [201]
        before = cases_and_ledger(system, first_key, database)
        response = client.put("/care-plans/5/cases-batch?dryRun=true", json=cases)
        assert (response.status_code, response.headers["preference-applied"]) == (207, "wait=60")
        assert cases_and_ledger(system, first_key, database) == before
        items = response.json()["data"]
        assert [(item["status"], item["body"], item.get("changes")) for item in items] == [
            (200, "Would be updated", ["case_Reason", "case_Score"]),
            (200, "Unchanged", []),
            (409, "carePlan_Key: the case exists under another care plan", None),
            (201, "Would be created", None),
            (200, "Would be updated", ["case_ID"]),
            (422, "case_Status: must have at most 8 characters", None),
        ]
        job = client.get(f"/jobs/{response.json()['debug']['activityID']}").json()["data"]
        of_real = client.get(f"/jobs/{sent.json()['debug']['activityID']}").json()["data"]
        assert (job["dryRun"], job["sequence"]) == (True, None)
        assert job["sawSequence"] >= of_real["sequence"]
        assert (job["created"], job["updated"], job["failed"], job["processed"]) == (1, 3, 2, 6)
        assert "dryRun" not in of_real
        assert "sawSequence" not in of_real
        real = client.put("/care-plans/5/cases-batch", json=cases)
        assert [item["body"] for item in real.json()["data"]] == [
            REAL.get(item["body"], item["body"]) for item in items
        ]


def test_a_strict_dry_run_and_its_result_in_every_form(system: System, first_key: int) -> None:
    cases = [a_case(first_key), a_case(first_key + 1, **BAD)]
    with system.client() as client:
        response = client.put(
            "/care-cases-batch?dryRun=true", json=cases, headers={"Prefer": "handling=strict, wait=60"}
        )
        assert [item["status"] for item in response.json()["data"]] == [424, 422]
        accepted = client.put("/care-cases-batch?dryRun=true", json=[a_case(first_key), a_case(first_key)])
        assert accepted.status_code == 202
        assert accepted.json()["job"]["dryRun"] is True
        job_id = accepted.json()["job"]["jobId"]
        assert "sawSequence" not in accepted.json()["job"]
        system.final(job_id)
        output = client.get(f"/jobs/{job_id}/result", headers={"Accept": "text/csv"}).text
        assert output.splitlines() == [
            "index,case_Key,status,body,changes",
            f"0,{first_key},201,Would be created,",
            f"1,{first_key},200,Unchanged,",
        ]
        page = client.get(f"/jobs/{job_id}/result?outcome=updated&page=1").json()["data"]
        assert [(item["index"], item["changes"]) for item in page] == [(1, [])]
        with client.stream("GET", f"/jobs/{job_id}/events") as stream:
            events = "".join(stream.iter_text())
        assert '{"index":1,"count":1,"status":200,"body":"Unchanged","changes":[]}' in events.replace(
            ", ", ","
        ).replace(": ", ":")
        assert client.post(f"/jobs/{job_id}/retry").status_code == 409
    assert cases_and_ledger(system, first_key)[0] == []


def test_it_is_another_batch_than_the_real_one_and_not_validated_only(system: System, first_key: int) -> None:
    key = {"Idempotency-Key": f"dry {first_key}"}
    with system.client() as client:
        first = client.put("/care-cases-batch?dryRun=true", json=[a_case(first_key)], headers=key)
        again = client.put("/care-cases-batch?dryRun=true", json=[a_case(first_key)], headers=key)
        assert first.json()["job"]["jobId"] == again.json()["job"]["jobId"]
        other = client.put("/care-cases-batch", json=[a_case(first_key)], headers=key)
        assert other.status_code == 422
        assert "Idempotency-Key" in other.json()["error"]["detail"]
        both = client.put("/care-cases-batch?dryRun=true&validateOnly=true", json=[a_case(first_key)])
        assert both.status_code == 422
        assert "exclude each other" in both.json()["error"]["detail"]
    system.final(first.json()["job"]["jobId"])  # or the next test counts its item


def test_it_is_recorded_counted_and_logged_as_what_it_is(system: System, first_key: int) -> None:
    label = '{database="demo"}'
    settle_tallies(system)
    applied, rehearsed = tally(system, "carecase_items_total"), tally(system, "carecase_dry_run_items")
    with system.client(Prefer="wait=60") as client:
        response = client.put("/care-cases-batch?dryRun=true", json=[a_case(first_key)])
    job_id = response.json()["debug"]["activityID"]
    name = f"carecase_dry_run_items_total{label}"
    eventually(lambda: tally(system, name).get(name) == rehearsed.get(name, 0) + 1, what="the item was counted")
    assert tally(system, "carecase_items_total") == applied
    records = [
        json.loads(line)
        for path in (system.data_dir / "audit").glob("*.jsonl")
        for line in path.read_text().splitlines()
        if job_id in line
    ]
    assert [record["event"] for record in records] == ["dry_run", "read"]
    of_job = [json.loads(line) for line in system.logs().splitlines() if job_id in line and line.startswith("{")]
    assert [line["dry_run"] for line in of_job if line["event"] == "chunk" and line["items"]] == [True]
    assert any(line.get("dry_run") for line in of_job if line["event"] != "chunk"), "the request tells it, too"


def test_the_command_line_says_what_would_change(system: System, first_key: int) -> None:
    def sent(name: str, *options: str, **fields: Any) -> tuple[int, str]:
        cases = [a_case(first_key + n, **fields) for n in range(3)]
        (system.place / name).write_text(json.dumps(cases))
        ran = run("submit", name, *options, cwd=system.place)
        return ran.returncode, ran.stdout

    status, output = sent("dry.json", "--dry-run")
    assert (status, "dry run" in output, "would be: 3 created" in output) == (0, True, True)
    assert cases_and_ledger(system, first_key)[0] == []
    assert sent("dry.json")[0] == 0
    status, output = sent("dry.json", "--dry-run", case_Reason="B")
    assert (status, "would be: 0 created, 3 updated" in output, output.splitlines()[-1]) == (
        0,
        True,
        "would change: 3 case_Reason",
    )
    assert sent("dry.json", "--dry-run")[1].splitlines()[-1] == "would change: nothing; 3 unchanged"
