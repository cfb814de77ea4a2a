"""Connections to target databases: one for each process, kept as long as all is well, and never longer."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event, text
from tests.acceptance.system import eventually
from tests.builders import a_batch, a_case, a_lease, a_new_job, chunks_of
from tests.integration.targets.databases import a_database, ask, engine_at, refusing, run, tenant
from tests.integration.targets.grounds import GROUNDS, ground_of
from tests.integration.worker.attempts import attempt
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import Chunk
from carecase_worker.batches.payloads import pack
from carecase_worker.cases.outcomes import CREATED
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.registry import Targets
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.worker.attempts.planning import plan_chunk


@pytest.fixture(params=[*DIALECTS])
def url(request: pytest.FixtureRequest, servers: Services, tmp_path: Path) -> str:
    """The URL of a database without a schema."""
    return GROUNDS[request.param].empty(servers, tmp_path)


def connections(engine: Engine, url: str) -> int:
    """The number of connections to a database but for the one that asks."""
    return ground_of(engine).connections(engine, url)


def write(targets: Targets, key: int) -> list[Any]:
    lease = a_lease(uuid4())
    return targets.writer("d").write(LedgerKey(uuid4(), 0), plan_chunk(Chunk(0, 1, a_batch(a_case(key))), lease))


def test_a_process_keeps_one_connection_until_it_lets_go(url: str) -> None:
    targets = Targets({"d": tenant(url)})
    with engine_at(url) as engine:
        upgrade(engine)
        engine.dispose()
        for key in range(3):
            assert write(targets, key) == [CREATED]
        eventually(lambda: connections(engine, url) == 1, what="one is open, and what the test had is closed")
        for _ in range(2):
            targets.disconnect("d")
            eventually(lambda: connections(engine, url) == 0, what="the connection is closed")


@pytest.mark.parametrize(("seconds", "is_kept"), [(1700, True), (1801, False)])
def test_a_connection_to_a_server_is_kept_for_half_an_hour(servers: Services, seconds: int, is_kept: bool) -> None:
    """A session keeps what it has cached of every table, and the password with which it came."""
    with engine_at(servers.postgres_url) as engine:

        def age(_: Any, record: Any) -> None:
            record.starttime -= seconds

        event.listen(engine, "checkin", age)
        before, after = (ask(engine, "SELECT pg_backend_pid()") for _ in range(2))
    assert (before == after) is is_kept


def test_a_schema_that_does_not_fit_keeps_no_connection_and_is_looked_at_again(url: str) -> None:
    targets = Targets({"d": tenant(url)})
    with engine_at(url) as engine:
        for own in (False, True):
            with pytest.raises(TargetFailure) as failure:
                (targets.own_writer if own else targets.writer)("d")
            assert failure.value.kind is FailureKind.AWAY
            eventually(lambda: connections(engine, url) == 0, what="the connection is closed")
        upgrade(engine)
        assert write(targets, 1) == [CREATED]
        targets.disconnect("d")


def test_a_failed_attempt_leaves_no_connection_behind(store: Stores, url: str) -> None:
    """A statement that has come to no end may hold locks for as long as its connection is there."""
    targets = Targets({"demo": tenant(url, LOCK_TIMEOUT_SECONDS="0.1")})
    (chunk,) = chunks_of(a_batch(a_case(1)))
    (ref,) = store.batches.admit(a_new_job(), {0: pack(chunk)}).to_notify
    store.leases.settle("demo", 0)
    with engine_at(url) as engine:
        upgrade(engine)
        with engine.begin() as other:
            ground_of(engine).lock(other)
            assert attempt(store, targets, ref, "worker").verdict.startswith("released: ")  # type: ignore[arg-type]
        eventually(lambda: connections(engine, url) == 0, what="the connection is closed")


@pytest.mark.parametrize(("statement", "longest"), [("0.3", 60), ("8", 0.3)])
def test_a_statement_takes_no_longer_than_it_and_the_attempt_may(
    servers: Services, statement: str, longest: float
) -> None:
    url = a_database(servers)
    targets = Targets({"d": tenant(url, STATEMENT_TIMEOUT_SECONDS=statement)}, timedelta(seconds=longest))
    with engine_at(url) as engine:
        upgrade(engine)
        run(url, *refusing("PERFORM pg_sleep(3);", when="true"))
        with pytest.raises(TargetFailure) as failure:
            write(targets, 1)
    assert failure.value.kind is FailureKind.TOO_SLOW
    targets.disconnect("d")


class Deadline(Exception):
    """The end of an attempt that takes too long, raised wherever it is."""


@contextmanager
def ended_by_a_signal() -> Iterator[None]:
    """Have SIGUSR1 raise Deadline in the main thread, as Celery does at the soft time limit."""

    def end(*_: object) -> None:
        raise Deadline

    before = signal.signal(signal.SIGUSR1, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_statement_that_the_deadline_of_its_attempt_ends_takes_its_connection_with_it(servers: Services) -> None:
    """A rollback on a connection that still waits for an answer would fail, and hide the deadline."""
    url = a_database(servers)
    sleeping = "wait_event = 'PgSleep' AND state = 'active'"
    sleeps = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {sleeping}"

    def end_it(other: Engine) -> None:
        eventually(lambda: ask(other, sleeps) == 1, what="the statement runs")
        os.kill(os.getpid(), signal.SIGUSR1)

    with engine_at(url) as engine, engine_at(url) as other, ThreadPoolExecutor(1) as pool:
        with engine.connect() as connection:
            DIALECTS["postgresql"].writing.lift_deadline(connection)
            ended = pool.submit(end_it, other)
            with ended_by_a_signal(), pytest.raises(Deadline):
                connection.execute(text("SELECT pg_sleep(60)"))
            ended.result()
            connection.rollback()
            assert connection.invalidated
        assert ask(engine, "SELECT 1") == 1, "by another connection"
