"""`kill -9` in the middle of a batch: it completes, nothing is lost and nothing is doubled."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from tests.acceptance.system import System, eventually, running
from tests.builders import a_case
from tests.pausing import frozen

TOTAL = 20_000
LONG = 40_000

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


def stopped_with_a_chunk(system: System) -> list[int]:
    """The pool of the first worker, stopped while one of it has a chunk in hand; empty, and going on, if none has."""
    pool = system.pool()
    for pid in pool:
        os.kill(pid, signal.SIGSTOP)
    with redis.Redis.from_url(system.stack["redis"]["url"]) as store:
        holders = [holder.decode() for holder in store.hvals("c:holding")]
    if any(f":{pid}:" in holder for pid in pool for holder in holders):
        return pool
    for pid in pool:
        os.kill(pid, signal.SIGCONT)
    return []


def test_chunks_of_a_worker_that_is_killed_with_its_pool_wait_for_no_lease(tmp_path: Path, first_key: int) -> None:
    """The lease is an hour: the job ends because somebody sees that the chunk's holder is dead."""
    with running(tmp_path, CARECASE_JOBS_LEASE_SECONDS="3600") as system:
        with frozen(system.pid("worker", 1)):  # so the first one has all of them, however late it comes
            job_id = system.send([a_case(first_key + n) for n in range(LONG)])
            pool = eventually(lambda: stopped_with_a_chunk(system), what="the first worker has a chunk in hand")
        for pid in (system.pid("worker"), *pool):
            os.kill(pid, signal.SIGKILL)
        job = system.final(job_id)
        assert (job["state"], job["created"]) == ("completed", LONG)
        assert "taken back from dead processes" in system.logs()


def roles(system: System) -> list[list[int]]:
    """The process ids by role."""
    return [pids for role, pids in system.stack["processes"].items() if role != "up"]
