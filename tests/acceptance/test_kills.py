"""`kill -9` in the middle of a batch: it completes, nothing is lost and nothing is doubled."""

from collections.abc import Callable

import pytest
from tests.acceptance.system import System, eventually
from tests.builders import a_case

TOTAL = 40_000

VICTIMS: dict[str, Callable[[System], int]] = {
    "a pool process": lambda system: system.pool(0)[0],
    "a worker": lambda system: system.pid("worker", 1),
    "the intake": lambda system: system.pid("intake"),
    "Valkey": lambda system: system.pid("redis"),
    "PostgreSQL": lambda system: system.pid("postgresql"),
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_batch_survives_the_death_of(system: System, first_key: int, victim: str) -> None:
    before = system.send([a_case(first_key + n, case_ID="old") for n in range(0, TOTAL, 2)])
    system.final(before)
    job_id = system.send([a_case(first_key + n, case_ID=f"new {n}") for n in range(TOTAL)])
    eventually(lambda: (job := system.job(job_id)) and job["processed"] >= TOTAL // 20)
    pid = VICTIMS[victim](system)
    system.kill(pid)
    job = system.final(job_id)

    assert job["state"] == "completed"
    assert (job["created"], job["updated"], job["failed"]) == (TOTAL // 2, TOTAL // 2, 0)
    items = system.result(job_id)
    assert [item["id"][0]["value"] for item in items] == list(range(first_key, first_key + TOTAL))
    assert [item["status"] for item in items] == [200, 201] * (TOTAL // 2)
    inside = f"case_key >= {first_key} AND case_key < {first_key + TOTAL}"
    assert system.query(
        f"SELECT count(*), count(*) FILTER (WHERE case_id = 'new ' || case_key - {first_key}) FROM care_case"
        f" WHERE {inside}"
    ) == [(TOTAL, TOTAL)]
    assert system.query(f"SELECT count(*) FROM ingest_ledger WHERE job_id = '{job_id}'") == [(TOTAL // 1000,)]
    eventually(lambda: all(pid not in pids for pids in roles(system)), what="another one stands in for it")


def roles(system: System) -> list[list[int]]:
    """The process ids by role."""
    return [pids for role, pids in system.stack["processes"].items() if role != "up"]
