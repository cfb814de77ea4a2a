"""A worker as it is started, which nobody sweeps for: what it does by itself, and once it is notified."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import redis
from sqlalchemy import Engine
from tests.acceptance.system import COMMAND, eventually
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.integration.targets.databases import a_database, ask, engine_at, run
from tests.posing import passing_on
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkLimits, ChunkRef
from carecase_worker.batches.payloads import pack
from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.clock import SystemClock
from carecase_worker.settings.loading import load, process_environment
from carecase_worker.settings.model import Settings
from carecase_worker.store.job import State
from carecase_worker.store.keys import Keys
from carecase_worker.store.workers.presence import Presence
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.worker.processes.process_identity import own_name

NEVER = "86400"
SLOW_INSERTS = """
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({}); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON care_case FOR EACH ROW EXECUTE FUNCTION slow()
"""


@dataclass
class Worker:
    """A worker with one pool process and one database; the ways to it and to Redis can be blocked."""

    settings: Settings
    log: Path
    database: Engine
    unblocked: threading.Event
    redis_unblocked: threading.Event
    store: Stores
    notifier: Notifier
    process: "subprocess.Popen[bytes]"

    @property
    def name(self) -> str:
        """The name of its main process."""
        pid = self.process.pid
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{own_name().partition(':')[0]}:{pid}:{started}"

    def children(self) -> list[int]:
        """Its pool process."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def send(self, *cases: dict[str, Any]) -> str:
        """Admit cases, and notify for the first; the job."""
        job_id, to_notify = self.admit(*cases)
        self.notifier.notify("demo", to_notify)
        return job_id

    def admit(self, *cases: dict[str, Any]) -> tuple[str, list[ChunkRef]]:
        """Admit cases, each in a chunk of its own, one of which is open at a time; the job, and what to notify for."""
        chunks = chunks_of(a_batch(*cases), ChunkLimits(1, 1 << 20, 1 << 18))
        new = a_new_job(total=len(cases), chunk_firsts=range(len(chunks)))
        to_notify = self.store.batches.admit(
            new, {number: pack(chunk) for number, chunk in enumerate(chunks)}
        ).to_notify
        return new.job_id, list(to_notify)

    def completes(self, job_id: str) -> None:
        eventually(lambda: self.store.jobs.job(job_id).state is State.COMPLETED, what="the job completes")

    def log_of(self, job_id: str) -> list[dict[str, Any]]:
        """What the log says of a job."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if job_id in line]


@contextmanager
def _way(url: str, unblocked: threading.Event) -> Iterator[str]:
    """The URL of a way to a server on which nothing comes back while it is blocked."""
    unblocked.set()
    port = url.rpartition(":")[2].partition("/")[0]

    def wait(piece: bytes) -> bytes:
        unblocked.wait()
        return piece

    with passing_on(int(port), wait) as way_in:
        yield url.replace(port, str(way_in))


@pytest.fixture(scope="module")
def worker(servers: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    place, unblocked, redis_unblocked = tmp_path_factory.mktemp("worker"), threading.Event(), threading.Event()
    url = a_database(servers)
    with (
        engine_at(url) as database,
        _way(url, unblocked) as way_in,
        _way(servers.redis_url, redis_unblocked) as redis_way,
    ):
        upgrade(database)
        rows = "(job_id, chunk_no, outcome, applied_at) VALUES ('{}', 0, 'o', now() - interval '{}')"
        run(url, *(f"INSERT INTO ingest_ledger {rows.format(uuid4(), age)}" for age in ("9 days", "7 days")))
        settings = {
            "REDIS_URL": redis_way,
            "REDIS_PREFIX": "whole:",
            "BROKER_PREFIX": "wholeb:",
            "DATABASES_DEMO_URL": way_in,
            "DATABASES_DEMO_STATEMENT_TIMEOUT_SECONDS": "3",
            "DATABASES_DEMO_CONNECT_TIMEOUT_SECONDS": "2",
            "WORKER_CHUNK_DEADLINE_SECONDS": "4",
            "WORKER_CONCURRENCY": "1",
            "WORKER_SWEEP_SECONDS": NEVER,
            "JOBS_WIDTH": "1",
        }
        variables = {f"CARECASE_{name}": value for name, value in settings.items()}
        with (log := place / "worker.log").open("wb") as output:
            process = subprocess.Popen(
                [*COMMAND, "worker"], cwd=place, env=process_environment() | variables, stdout=output, stderr=output
            )
        direct = load(environment={**variables, "CARECASE_REDIS_URL": servers.redis_url})
        store, notifier = Stores(direct.redis, direct.jobs), Notifier(celery_app(direct))
        try:
            yield Worker(direct, log, database, unblocked, redis_unblocked, store, notifier, process)
        finally:
            unblocked.set()
            redis_unblocked.set()
            process.terminate()
            process.wait(120)
            store.client.close()


def test_it_looks_after_the_ledger_and_the_order_and_is_seen_however_seldom_it_sweeps(worker: Worker) -> None:
    presence = Presence(worker.store.client, SystemClock())
    for time in ("as soon as it is there", "again"):
        eventually(lambda: presence.workers().names == [worker.name], what=f"the worker is seen {time}")
        presence.unseen(worker.name)
    eventually(lambda: worker.store.leases.unsettled(["demo"]) == [], what="the order of acceptance is settled")
    purged = eventually(lambda: 2 - ask(worker.database, "SELECT count(*) FROM ingest_ledger"), what="a purge")
    assert purged == 1, "an open job may ask for the other row until the retry deadline"


@contextmanager
def inserts_take(worker: Worker, seconds: float) -> Iterator[None]:
    """Let each insert of a case take so long."""
    with worker.database.begin() as connection:
        connection.exec_driver_sql(SLOW_INSERTS.format(seconds))
    try:
        yield
    finally:
        with worker.database.begin() as connection:
            connection.exec_driver_sql("DROP FUNCTION slow CASCADE")


def test_what_a_chunk_opens_is_notified_for(worker: Worker) -> None:
    """Each chunk takes longer than a process goes on with what it has opened."""
    with inserts_take(worker, 0.3):
        worker.completes(worker.send(*(a_case(key) for key in range(5))))


def test_each_chunk_has_an_attempts_time_of_its_own(worker: Worker) -> None:
    """Each takes more than half of it: one that began in what another one left would be a timeout of the database."""
    with inserts_take(worker, 2.1):
        job_id = worker.send(*(a_case(key) for key in range(10, 13)))
        eventually(lambda: len(worker.log_of(job_id)) >= 3, 60, "each chunk was tried")
    assert [(line.get("verdict"), line.get("dry_run")) for line in worker.log_of(job_id)] == [("kept", None)] * 3


def test_a_database_that_hangs_is_waited_for_and_its_connection_is_given_up(worker: Worker) -> None:
    worker.completes(worker.send(a_case(100)))
    worker.unblocked.clear()
    hung = worker.send(a_case(101))
    trouble = eventually(lambda: worker.store.workload.trouble("demo"), what="the attempt is given up")
    assert trouble.reason == "timeout"
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    eventually(lambda: ask(worker.database, sessions) == 0, what="no session is left behind")
    worker.unblocked.set()

    def completes() -> bool:
        worker.notifier.notify("demo", [ChunkRef(hung, 0)])
        return worker.store.jobs.job(hung).state.final

    eventually(completes, what="the job completes once the database answers")
    job = worker.store.jobs.job(hung)
    assert (job.state, job.counts["created"]) == (State.COMPLETED, 1)
    verdicts = [line["verdict"] for line in worker.log_of(hung) if line["event"] == "chunk"]
    assert {*verdicts} <= {"released: away", "circuit_open", "kept", "done"}, (
        "it is never taken for the chunk's own fault"
    )
    assert not [line for line in worker.log_of(hung) if line["event"] == "chunk failed"]


def test_a_redis_that_hangs_is_not_waited_for_and_nothing_is_lost(worker: Worker) -> None:
    worker.unblocked.clear()
    hung = worker.send(a_case(301))
    eventually(lambda: worker.store.jobs.job(hung).started_at, what="the chunk is taken")
    worker.redis_unblocked.clear()
    worker.unblocked.set()

    def left() -> list[dict[str, Any]]:
        return [line for line in worker.log_of(hung) if line["event"] == "chunk left for the sweep"]

    (line,) = eventually(left, what="the pool process lets the chunk be")
    assert line["reason"] == "the job store cannot be reached; check that Redis runs, and redis.url"
    worker.redis_unblocked.set()
    worker.completes(worker.send(a_case(302)))

    def completes() -> bool:
        worker.notifier.notify("demo", [ChunkRef(hung, 0)])
        return worker.store.jobs.job(hung).state.final

    eventually(completes, what="the job completes once its lease is over")
    assert worker.store.jobs.job(hung).counts["created"] == 1
    assert ask(worker.database, "SELECT count(*) FROM care_case WHERE case_key = 301") == 1


def _spoil_record(client: "redis.Redis", keys: Keys, job_id: str) -> None:
    client.hset(keys.job(job_id), "total", "many")


def _spoil_payload(client: "redis.Redis", keys: Keys, job_id: str) -> None:
    (chunk,) = chunks_of(a_batch(a_case(1)))
    client.hset(keys.payload(job_id), "0", pack(replace(chunk, items=b"no list")))


@pytest.mark.parametrize(
    ("break_it", "event"),
    [(_spoil_record, "chunk left for the sweep"), (_spoil_payload, "chunk failed")],
    ids=["a record", "a payload"],
)
def test_what_somebody_broke_in_redis_ends_no_pool_process(
    worker: Worker, servers: Services, break_it: Callable[..., None], event: str
) -> None:
    worker.completes(worker.send(a_case(400)))
    before = worker.children()
    job_id, to_notify = worker.admit(a_case(401))
    with redis.Redis.from_url(servers.redis_url) as client:
        break_it(client, worker.store.keys, job_id)
    worker.notifier.notify("demo", to_notify)
    eventually(lambda: [line for line in worker.log_of(job_id) if line["event"] == event], what="it is told")
    worker.completes(worker.send(a_case(402)))
    assert worker.children() == before


def test_a_pool_process_that_starts_slowly_is_waited_for(worker: Worker) -> None:
    """Celery's own patience is four seconds: on a machine that is busy for longer, nothing would ever be applied."""
    worker.completes(worker.send(a_case(199)))
    (before,) = worker.children()
    os.kill(before, signal.SIGKILL)
    (slow,) = eventually(lambda: [pid for pid in worker.children() if pid != before], what="there is another one")
    os.kill(slow, signal.SIGSTOP)
    try:
        with pytest.raises(psutil.TimeoutExpired):
            psutil.Process(slow).wait(6)
    finally:
        os.kill(slow, signal.SIGCONT)
    worker.completes(worker.send(a_case(200)))
    assert worker.children() == [slow]


def _sockets(pid: int) -> set[str]:
    """The sockets that a process has open."""
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    return {link for link in links if link.startswith("socket:")}


def test_a_pool_process_that_takes_anothers_place_has_none_of_its_parents_connections(worker: Worker) -> None:
    """The parent would get events of a broken pipe for ever, and spin: epoll forgets it once nobody has it open."""
    worker.completes(worker.send(a_case(203)))
    (before,) = worker.children()
    os.kill(before, signal.SIGKILL)
    (after,) = eventually(lambda: [pid for pid in worker.children() if pid != before], what="there is another one")
    worker.completes(worker.send(a_case(201)))
    assert _sockets(after)
    assert _sockets(worker.process.pid)
    assert _sockets(after) & _sockets(worker.process.pid) == set()


def test_it_ends_when_it_is_stopped_and_says_so(worker: Worker) -> None:
    presence = Presence(worker.store.client, SystemClock())
    eventually(lambda: presence.workers().names == [worker.name])
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(120) == 0
    assert presence.workers().names == []
