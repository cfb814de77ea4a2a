"""An item that takes too long is refused once others were fast; a slow database, or a lock, costs no other item."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, text
from tests.acceptance.system import eventually
from tests.builders import a_batch, a_case, a_lease
from tests.integration.targets.databases import BAD, ask, raising, refusing
from tests.integration.targets.refusals.spoiling import ALL_BUT_THE_BAD, CASES, apply, attempted, hasty, run, spoiled

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import CREATED, REFUSED, UPDATED
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.dialects.postgresql.upsert import PostgresUpsert
from carecase_worker.targets.dialects.upsert import ComparableUpsert
from carecase_worker.targets.writing.applying import sift
from carecase_worker.targets.writing.findings import Findings
from carecase_worker.worker.attempts.planning import plan_chunk

SLOW_STATES = ("40001", "40P01", "55P03", "57014")


@pytest.mark.parametrize("state", SLOW_STATES)
def test_a_state_of_haste_that_one_item_meets_for_ever_is_that_items_own(
    engine: Engine, upsert: ComparableUpsert, state: str
) -> None:
    with spoiled(engine, *refusing(raising(state))):
        attempts, outcomes = attempted(engine, upsert, *CASES, seconds=6)
    assert outcomes == ALL_BUT_THE_BAD
    assert attempts <= 3


SLOW = "PERFORM pg_sleep(30);"


def some_slow(slow: set[int]) -> tuple[str, ...]:
    return refusing(SLOW, f"NEW.case_key = ANY (ARRAY{sorted(slow)})")


@pytest.mark.parametrize(("slow", "at_most"), [({3}, 3), ({3, 400, 999}, 7)], ids=["one", "three"])
def test_items_that_take_too_long_are_refused_and_the_others_applied(
    engine: Engine, slow: set[int], at_most: int
) -> None:
    cases = [a_case(key) for key in range(1000)]
    with spoiled(engine, *some_slow(slow)):
        attempts, outcomes = attempted(engine, PostgresUpsert(), *cases, seconds=6)
    assert outcomes == [REFUSED if key in slow else CREATED for key in range(1000)]
    assert attempts <= at_most


def test_many_items_that_take_too_long_are_refused_after_more_attempts(engine: Engine) -> None:
    slow, longest = set(range(0, 100, 5)), timedelta(seconds=30)
    cases = [a_case(key) for key in range(100)]
    with spoiled(engine, *some_slow(slow)):
        outcomes = apply(engine, PostgresUpsert(), *cases, attempts=7, longest=longest)
    assert outcomes == [REFUSED if key in slow else CREATED for key in range(100)]


@pytest.mark.parametrize("full", [True, False])
def test_an_item_alone_that_takes_too_long_is_refused(engine: Engine, upsert: ComparableUpsert, full: bool) -> None:
    with spoiled(engine, *refusing(SLOW)):
        if full:
            apply(engine, upsert, a_case(100))
        assert attempted(engine, upsert, a_case(BAD), seconds=3) == (1, [REFUSED])


def test_a_database_that_is_slow_for_every_item_blames_none(engine: Engine, upsert: ComparableUpsert) -> None:
    with spoiled(engine, *refusing(SLOW, when="true")), hasty(engine, 0.5) as limited:
        for attempts in (0, 1, 11):
            with pytest.raises(TargetFailure) as failure:
                apply(limited, upsert, *CASES, attempts=attempts, longest=timedelta(seconds=0.5))
            assert failure.value.kind is FailureKind.TOO_SLOW


@pytest.mark.parametrize("attempts", [0, 1], ids=["usual", "slow"])
def test_an_attempt_whose_time_is_over_asks_the_database_for_nothing_more(
    engine: Engine, upsert: ComparableUpsert, attempts: int
) -> None:
    """The time went elsewhere, as in a process that was stopped for a while, so that no statement took too long."""
    plan = replace(plan_chunk(Chunk(0, len(CASES), a_batch(*CASES)), a_lease(uuid4())), attempts=attempts)
    with spoiled(engine), engine.begin() as connection:
        with pytest.raises(TargetFailure) as failure:
            sift(connection, upsert, plan, Findings(until=monotonic(), time_s=10))
        assert failure.value.kind is FailureKind.TOO_SLOW
        assert connection.execute(text("SELECT count(*) FROM care_case")).scalar_one() == 0


def test_a_chunk_of_slow_items_that_come_in_time_is_applied(engine: Engine) -> None:
    with spoiled(engine, *refusing("PERFORM pg_sleep(0.6);", when="true")):
        attempts, outcomes = attempted(engine, PostgresUpsert(), *CASES, seconds=10)
    assert (attempts, outcomes) == (0, [CREATED] * 10)


def test_a_lock_on_one_case_is_waited_for_and_then_costs_that_item_alone(
    engine: Engine, upsert: ComparableUpsert
) -> None:
    with spoiled(engine):
        apply(engine, upsert, *CASES)
        owner = create_engine(engine.url)
        with owner.begin() as other:
            other.execute(text(f"SELECT 1 FROM care_case WHERE case_key = {BAD} FOR UPDATE"))
            outcomes = attempted(engine, upsert, *CASES, seconds=3, seq=2)
        owner.dispose()
    assert outcomes == (3, [REFUSED if case["case_Key"] == BAD else UPDATED for case in CASES])


def test_a_lock_of_another_chunk_costs_no_item(engine: Engine) -> None:
    with spoiled(engine), hasty(engine, 1) as limited, hasty(engine, 60) as patient:
        apply(engine, PostgresUpsert(), *CASES)
        with patient.begin() as another:
            another.execute(text(f"SELECT 1 FROM care_case WHERE case_key = {BAD} FOR UPDATE"))
            for attempts in (3, 5, 7, 9):
                with pytest.raises(TargetFailure) as failure:
                    apply(limited, PostgresUpsert(), *CASES, attempts=attempts, longest=timedelta(seconds=1), seq=2)
                assert failure.value.kind is FailureKind.TOO_SLOW
        assert (
            apply(limited, PostgresUpsert(), *CASES, attempts=11, longest=timedelta(seconds=1), seq=2) == [UPDATED] * 10
        )


TRIES, NO_TRIES = "CREATE SEQUENCE tries", ("DROP TRIGGER IF EXISTS refuse ON care_case", "DROP SEQUENCE tries")
HOLD = text("SELECT 1 FROM care_case WHERE case_key = :key FOR UPDATE")


def test_a_deadlock_with_another_application_costs_no_item(
    engine: Engine, upsert: ComparableUpsert, owner: Engine
) -> None:
    """The other application holds the second case, and wants the first one as soon as the chunk has that one alone."""
    with owner.connect() as other, ThreadPoolExecutor(1) as pool, spoiled(engine, TRIES, mend=NO_TRIES):
        apply(engine, upsert, *CASES[:2])
        process = other.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other.execute(text("SET deadlock_timeout = '1h'"))  # so that the chunk is the one to be broken off
        other.execute(HOLD.bindparams(key=1))
        when_it_is_alone = (
            f"CASE nextval('tries') WHEN 1 THEN {raising('P0001')}"
            f" WHEN 2 THEN WHILE NOT pg_blocking_pids({process}) @> ARRAY[pg_backend_pid()] LOOP"
            " PERFORM pg_sleep(0.01); END LOOP; ELSE END CASE;"
        )
        run(engine, *refusing(when_it_is_alone, when="TG_OP = 'INSERT' AND NEW.case_key = 1"))
        chunk = pool.submit(apply, engine, upsert, *CASES[:2], seq=2, attempts=1)
        eventually(lambda: ask(owner, "SELECT last_value FROM tries") == 2, what="the first case is written alone")
        other.execute(HOLD.bindparams(key=0))
        other.rollback()
        assert chunk.result() == [UPDATED, UPDATED]


@pytest.fixture
def owner(engine: Engine) -> Iterator[Engine]:
    """The engine of a user who is no worker."""
    theirs = create_engine(engine.url)
    yield theirs
    theirs.dispose()


@pytest.fixture
def others(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The engine of a tenant in another database of the server, or of another user in this one."""
    run(engine, "DROP ROLE IF EXISTS namesake", "CREATE ROLE namesake LOGIN PASSWORD 'secret'")
    theirs = create_engine(engine.url.set(**request.param))
    try:
        yield theirs
    finally:
        theirs.dispose()
        run(engine, "DROP ROLE namesake")


@pytest.mark.parametrize(
    "others", [{"database": "postgres"}, {"username": "namesake"}], ids=["database", "user"], indirect=True
)
def test_a_chunk_in_another_database_or_of_another_user_is_not_taken_for_the_one_that_holds_the_lock(
    engine: Engine, others: Engine, owner: Engine
) -> None:
    """Tenants may share a server, and their chunks say nothing of a lock in this database."""
    with (
        spoiled(engine),
        hasty(engine, 1) as limited,
        others.begin() as writing,
        owner.begin() as holding,
    ):
        writing.execute(text("SET application_name = 'carecase-worker'"))
        apply(engine, PostgresUpsert(), *CASES)
        holding.execute(text(f"SELECT 1 FROM care_case WHERE case_key = {BAD} FOR UPDATE"))
        outcomes = apply(limited, PostgresUpsert(), *CASES, attempts=3, longest=timedelta(seconds=30), seq=2)
        holding.rollback()
    assert outcomes == [REFUSED if case["case_Key"] == BAD else UPDATED for case in CASES]
