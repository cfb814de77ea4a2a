"""A tenant that is away, a crowd, a rolling restart: nobody else notices, and nothing needs a hand."""

import json
import signal
import sqlite3
from pathlib import Path

from sqlalchemy import make_url
from tests.acceptance.refusing_connections import allow_connections
from tests.acceptance.system import System, eventually
from tests.builders import a_batch, a_case
from tests.pausing import paused_workers

from carecase_worker.targets.causes import Causes

ENDED_BEFORE = frozenset({Causes.STOPPED.value.name, Causes.BROKEN.value.name})
"""Why an attempt fails whose process still holds a connection that an earlier test ended."""


def pace(system: System) -> float:
    """The pace of `demo` as the metrics show it."""
    name = 'carecase_items_per_second{database="demo"} '
    return float(next(line for line in system.metrics() if line.startswith(name)).removeprefix(name))


def told_alike(system: System) -> bool:
    """Whether readiness gives the reason that the metrics do; one attempt may have failed for another in between."""
    with system.client() as client:
        reasons = client.get("/readyz").json()["databases"]["reasons"]
    away = next(line for line in system.metrics() if line.startswith('carecase_database_away{database="demo"'))
    return bool(reasons) and all(f'reason="{reason}"' in away for reason in reasons)


def test_a_tenant_that_is_away_waits_and_resumes_while_others_go_on(system: System, first_key: int) -> None:
    allow_connections(system, False)
    try:
        waiting = system.send([a_case(first_key + n) for n in range(5000)])
        eventually(lambda: (job := system.job(waiting)) and job["state"] == "waiting", what="the job waits")
        for _ in range(3):
            other = system.send([a_case(first_key + n) for n in range(2000)], database="demo_sqlite")
            assert system.final(other)["processed"] == 2000
        assert (system.job(waiting) or {})["processed"] == 0
        away = [line for line in system.metrics() if line.startswith('carecase_database_away{database="demo"')]
        assert len(away) == 1
        assert 'reason=""' not in away[0]
        assert away[0].endswith(" 1.0")
        with system.client() as client:
            eventually(lambda: client.get("/readyz").json()["databases"]["away"], what="it is told as away")
            ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["databases"]["away"]) == (200, 1)
        eventually(lambda: told_alike(system), what="readiness and metrics tell the same reason")
        assert "demo" not in ready.text
        eventually(lambda: pace(system) == 0, what="the pace falls to 0")
    finally:
        allow_connections(system, True)
    assert system.final(waiting)["created"] == 5000
    back = 'carecase_database_away{database="demo",reason=""} 0.0'
    eventually(lambda: back in system.metrics(), what="the metrics tell that it is back")


def test_the_log_says_why_a_database_is_away_and_that_it_is_back(system: System, first_key: int) -> None:
    before = system.log_sizes()

    def lines(event: str) -> list[dict[str, str]]:
        found = [json.loads(line) for line in system.logs(before).splitlines() if f'"{event}"' in line]
        return [line for line in found if line["event"] == event]

    allow_connections(system, False)
    try:
        waiting = system.send([a_case(first_key + n) for n in range(3000)])

        def refused() -> bool:
            return any("does not allow connections" in line["reason"] for line in lines("database is away"))

        eventually(refused, what="the cause is logged")
        eventually(lambda: (system.job(waiting) or {}).get("state") == "waiting", what="the job waits")
    finally:
        allow_connections(system, True)
    assert system.final(waiting)["created"] == 3000
    eventually(lambda: lines("database is back"), what="that it is back is logged")
    records = lines("database is away")
    assert {line["database"] for line in records} == {"demo"}
    processes = len(system.pool(0)) + len(system.pool(1))
    assert len(records) <= 3 * processes, "a line for each cause that a process met: ended, not accepting"
    assert {line["database"] for line in lines("database is back")} == {"demo"}
    new = system.logs(before)
    assert str(first_key) not in new
    assert "postgresql://" not in new


def test_a_small_batch_does_not_wait_for_large_ones(system: System, first_key: int) -> None:
    body = a_batch(*(a_case(first_key + n) for n in range(60_000)))
    with system.client() as client, paused_workers(system):
        headers = {"Content-Type": "application/json"}
        responses = [client.put("/care-cases-batch", content=body, headers=headers) for _ in range(3)]
        small = system.send([a_case(first_key + 900_000 + n) for n in range(10)])
    large = [system.final(response.json()["job"]["jobId"]) for response in responses]
    assert [job["processed"] for job in large] == [60_000] * 3
    final = system.final(small)
    assert final["created"] == 10
    assert final["finishedAt"] < max(job["finishedAt"] for job in large)


def restart(system: System, role: str, which: int) -> None:
    """Have a process stop, and wait until another one stands in for it."""
    before = system.pid(role, which)
    system.kill(before, signal.SIGTERM)
    eventually(lambda: before not in system.stack["processes"][role], what=f"another {role} stands in")


def test_a_rolling_restart_under_load_loses_nothing(system: System, first_key: int) -> None:
    jobs = []
    for number in range(3):
        jobs.append(system.send([a_case(first_key + n, case_ID=f"batch {number}") for n in range(30_000)]))
        restart(system, *(("worker", 0), ("worker", 1), ("intake", 0))[number])
    for job_id in jobs:
        job = system.final(job_id)
        assert (job["processed"], job["failed"]) == (30_000, 0)
    inside = f"case_key >= {first_key} AND case_key < {first_key + 30_000}"
    assert system.query(f"SELECT case_id, count(*) FROM care_case WHERE {inside} GROUP BY 1") == [("batch 2", 30_000)]


def test_what_was_cancelled_can_be_sent_again(system: System, first_key: int) -> None:
    total = 60_000
    bad = {"case_Key": first_key + total, "carePlan_Key": 5}
    with system.client() as client:
        with paused_workers(system):
            job_id = system.send([*(a_case(first_key + n) for n in range(total)), bad])
            assert client.post(f"/jobs/{job_id}/retry").status_code == 409, "it is not final"
            assert client.delete(f"/jobs/{job_id}").status_code == 202
        cancelled = system.final(job_id)["cancelled"]
        assert cancelled > 1
        key = {"Idempotency-Key": f"again {first_key}"}
        responses = [client.post(f"/jobs/{job_id}/retry", headers=key) for _ in range(2)]
        assert [response.status_code for response in responses] == [202, 202]
        (again,) = {response.json()["job"]["jobId"] for response in responses}
        assert client.post(f"/jobs/{job_id}/retry").status_code == 202
        without_key = {client.post(f"/jobs/{job_id}/retry").json()["job"]["jobId"] for _ in range(2)}
        assert len(without_key) == 1, "asked twice without a key, it is one job"
        job = system.final(again)
        assert job["total"] >= cancelled - 1
        assert client.post(f"/jobs/{again}/retry").status_code == 409, "nothing is left to send again"
    inside = f"case_key >= {first_key} AND case_key < {first_key + total}"
    assert system.query(f"SELECT count(*) FROM care_case WHERE {inside}") == [(total,)]


def test_an_item_over_which_a_trigger_fails_is_refused_alone_and_nobody_waits(system: System, first_key: int) -> None:
    for statement in (
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM there_is_no_such_function(); RETURN NEW; END $$",
        "CREATE TRIGGER fail BEFORE INSERT ON care_case FOR EACH ROW"
        f" WHEN (NEW.case_key = {first_key + 3}) EXECUTE FUNCTION fail()",
    ):
        system.execute(statement)
    try:
        job = system.send([a_case(first_key + n) for n in range(2500)])
        result = system.result(job)
    finally:
        system.execute("DROP TRIGGER fail ON care_case")
        system.execute("DROP FUNCTION fail()")
    assert [place for place, item in enumerate(result) if item["status"] != 201] == [3]
    assert result[3]["status"] == 500
    records = [json.loads(line) for line in system.logs().splitlines() if job in line and "42883" in line]
    assert [(line["database"], line["count"]) for line in records] == [("demo", 1)]
    released = [json.loads(line) for line in system.logs().splitlines() if job in line and "released" in line]
    assert [line for line in released if line["reason"] not in ENDED_BEFORE] == []
    with system.client() as client:
        again = client.post(f"/jobs/{job}/retry").json()["job"]["jobId"]
    assert [item["status"] for item in system.result(again)] == [201], "once the schema is mended"


def test_cases_go_into_the_file_that_is_there_after_a_restore_under_running_workers(
    system: System, first_key: int
) -> None:
    path = Path(make_url(system.stack["databases"]["demo_sqlite"]["url"]).database or "")
    before = system.send([a_case(first_key)], database="demo_sqlite")
    assert system.final(before)["created"] == 1
    with sqlite3.connect(path) as source, sqlite3.connect(path.with_name("backup")) as target:
        source.backup(target)
    path.with_name("backup").rename(path)
    jobs = [system.send([a_case(first_key + n)], database="demo_sqlite") for n in range(10)]
    assert [system.final(job)["processed"] for job in jobs] == [1] * 10
    keys = f"SELECT count(*) FROM care_case WHERE case_key >= {first_key} AND case_key < {first_key + 10}"
    assert system.query(keys, "demo_sqlite") == [(10,)]

    path.rename(path.with_name("away"))
    waiting = system.send([a_case(first_key + 10)], database="demo_sqlite")
    eventually(lambda: (job := system.job(waiting)) and job["state"] == "waiting", what="the job waits")
    assert not path.exists(), "no worker makes an empty file"
    path.with_name("away").rename(path)
    assert system.final(waiting)["created"] == 1
