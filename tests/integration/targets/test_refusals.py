"""A database that refuses one item and answers: that item gets its own outcome, and all others are applied."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import URL, Engine, NullPool, create_engine, text
from tests.builders import a_batch, a_case, a_lease
from tests.integration.targets.databases import BAD, raising, refusing
from tests.integration.targets.grounds import WAYS, name_of, upsert_of
from tests.integration.targets.test_conformance import engine_at
from tests.services import Services

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import CREATED, NOT_APPLIED, REFUSED, UPDATED, Outcome
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.store.operations.claims import History
from carecase_worker.targets.dialects.postgresql.upsert import PostgresUpsert
from carecase_worker.targets.dialects.upsert import Upsert
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.migration import create_database
from carecase_worker.targets.tenants import Tenant
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer
from carecase_worker.worker.attempts.planning import plan_chunk

STATES = (
    "08000", "08006", "25006", "25P02", "28000", "28P01", "3D000", "3F000", "42501", "42601", "42703", "42883", "42P01",
    "53000", "53100", "53200", "53300", "55000", "55006", "57000", "57P01", "57P03", "58000", "58030", "XX000", "XX001",
    "P0001", "P0002", "HV000", "22012", "0A000", "F0000", "21000", "ZZ999",
)  # fmt: skip
"""One or more of each class that is otherwise the database's, and some of those that never are."""
SLOW_STATES = ("40001", "40P01", "55P03", "57014")


@pytest.fixture(params=[way for way in WAYS if way[0] == "postgresql"], ids=name_of)
def upsert(request: pytest.FixtureRequest) -> Upsert:
    return upsert_of(request.param)


@pytest.fixture(scope="module")
def kept_engine(servers: Services) -> Iterator[Engine]:
    """The engine of a database whose schema these tests may spoil; to make one costs more than most of them do."""
    create_database(servers.postgres_url, "refusals")
    engine = engine_at(servers.postgres_url.removesuffix("demo") + "refusals")
    yield engine
    engine.dispose()


@pytest.fixture
def engine(kept_engine: Engine) -> Iterator[Engine]:
    """The same with one connection, which no earlier test has used and which was made before anything is spoiled."""
    kept_engine.connect().close()
    yield kept_engine
    pool: Any = kept_engine.pool
    assert pool.checkedout() == 0, "a connection was not given back"
    kept_engine.dispose()


@contextmanager
def spoiled(engine: Engine, *statements: str, mend: tuple[str, ...] = ()) -> Iterator[None]:
    """Spoil the schema for a while, by statements; `mend` and the removal of the trigger undo it."""
    run(engine, "DELETE FROM care_case", *statements)
    try:
        yield
    finally:
        run(engine, *mend, "DROP TRIGGER IF EXISTS refuse ON care_case")


def run(engine: Engine, *statements: str) -> None:
    """Run statements as the database's owner."""
    with owner_of(engine.url).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@cache
def owner_of(url: URL) -> Engine:
    """An engine of the database's owner, which keeps no connection; to make one costs more than what it does here."""
    return create_engine(url.set(username="postgres", password="secret"), poolclass=NullPool)


def apply(
    engine: Engine, upsert: Upsert, *cases: dict[str, Any], seq: int = 1, attempts: int = 0, **options: Any
) -> list[Outcome]:
    """What becomes of a chunk that has been attempted so many times."""
    key = LedgerKey(uuid4(), 0)
    lease = a_lease(key.job_id, seq=seq, history=History(too_slow=attempts), strict=options.pop("strict", False))
    plan = replace(plan_chunk(Chunk(0, len(cases), a_batch(*cases)), lease), attempts=attempts)
    return Writer(engine, upsert, **options).write(key, plan)


CASES = [a_case(key) for key in range(10)]
ALL_BUT_THE_BAD = [REFUSED if case["case_Key"] == BAD else CREATED for case in CASES]


@pytest.mark.parametrize("state", STATES)
def test_a_state_that_is_raised_over_one_item_is_that_items_own(engine: Engine, upsert: Upsert, state: str) -> None:
    with spoiled(engine, *refusing(raising(state))):
        assert apply(engine, upsert, *CASES) == ALL_BUT_THE_BAD
        assert apply(engine, upsert, *CASES[:7], *CASES[8:], seq=2) == [UPDATED] * 9


@pytest.mark.parametrize("state", STATES)
def test_an_item_that_is_alone_in_its_batch_is_refused_alike(engine: Engine, state: str) -> None:
    with spoiled(engine, *refusing(raising(state))):
        assert apply(engine, PostgresUpsert(), CASES[BAD]) == [REFUSED], "into an empty table"
        apply(engine, PostgresUpsert(), CASES[1])
        assert apply(engine, PostgresUpsert(), CASES[BAD]) == [REFUSED], "beside a case that was taken"


def test_a_case_that_was_taken_once_may_be_refused_later(engine: Engine, upsert: Upsert) -> None:
    with spoiled(engine):
        apply(engine, upsert, CASES[BAD])
        run(engine, *refusing("PERFORM there_is_no_such_function();", when="NEW.case_status = 'bad'"))
        run(engine, "ALTER TABLE care_case DISABLE TRIGGER USER", "UPDATE care_case SET case_status = 'bad'")
        run(engine, "ALTER TABLE care_case ENABLE TRIGGER USER")
        assert apply(engine, upsert, a_case(BAD, case_Status="bad"), seq=2) == [REFUSED]


def test_a_whole_batch_with_such_an_item_is_not_applied(engine: Engine, upsert: Upsert) -> None:
    with spoiled(engine, *refusing("PERFORM there_is_no_such_function();")):
        expected = [REFUSED if one == REFUSED else NOT_APPLIED for one in ALL_BUT_THE_BAD]
        assert apply(engine, upsert, *CASES, strict=True) == expected


WHOLE_TABLE = {
    "no table": ("ALTER TABLE care_case RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO care_case"),
    "no column": (
        "ALTER TABLE care_case RENAME case_reason TO reason", "ALTER TABLE care_case RENAME reason TO case_reason",
    ),
    "no ledger": ("ALTER TABLE ingest_ledger RENAME TO ledger", "ALTER TABLE ledger RENAME TO ingest_ledger"),
    "no schema": ("ALTER SCHEMA public RENAME TO private", "ALTER SCHEMA private RENAME TO public"),
}  # fmt: skip


@pytest.mark.parametrize("what", WHOLE_TABLE)
def test_a_schema_that_fits_no_item_is_the_databases(engine: Engine, upsert: Upsert, what: str) -> None:
    spoil, mend = WHOLE_TABLE[what]
    with spoiled(engine, spoil, mend=(mend,)), pytest.raises(TargetFailure) as failure:
        apply(engine, upsert, *CASES)
    assert failure.value.kind is FailureKind.AWAY
    assert "(42P01)" in str(failure.value) or "(42703)" in str(failure.value)


@pytest.mark.parametrize("state", ["42883", "53100", "57P03"])
@pytest.mark.parametrize("full", [True, False])
def test_a_state_that_every_row_meets_is_the_databases(engine: Engine, upsert: Upsert, state: str, full: bool) -> None:
    with spoiled(engine):
        if full:
            apply(engine, upsert, a_case(100))
        run(engine, *refusing(raising(state), when="true"))
        with pytest.raises(TargetFailure) as failure:
            apply(engine, upsert, *CASES)
    assert failure.value.kind is FailureKind.AWAY
    assert state in str(failure.value)


@pytest.fixture
def lesser(engine: Engine) -> Iterator[Engine]:
    """The engine of a user that owns nothing and may do what it must."""
    run(
        engine,
        "CREATE ROLE lesser LOGIN PASSWORD 'secret'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON care_case, ingest_ledger TO lesser",
    )
    url = engine.url.set(username="lesser").render_as_string(hide_password=False)
    theirs = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": url})))
    yield theirs
    theirs.dispose()
    run(engine, "DROP OWNED BY lesser", "DROP ROLE lesser")


@pytest.mark.parametrize(
    "lacking",
    [
        "REVOKE INSERT ON care_case FROM lesser",
        "REVOKE UPDATE ON care_case FROM lesser",
        "REVOKE SELECT ON care_case FROM lesser",
        "REVOKE INSERT ON ingest_ledger FROM lesser",
        "REVOKE USAGE ON SCHEMA public FROM public",
        "ALTER ROLE lesser SET default_transaction_read_only = on",
    ],
)
def test_a_privilege_that_no_item_has_is_the_databases(lesser: Engine, upsert: Upsert, lacking: str) -> None:
    mend = ("GRANT USAGE ON SCHEMA public TO public",)
    with spoiled(lesser, lacking, mend=mend), pytest.raises(TargetFailure) as failure:
        apply(lesser, upsert, *CASES)
    assert failure.value.kind is FailureKind.AWAY


@pytest.mark.parametrize("bad", [{BAD}, set(range(10))], ids=["one", "all"])
def test_row_security_refuses_items(lesser: Engine, upsert: Upsert, bad: set[int]) -> None:
    policy = f"CREATE POLICY p ON care_case USING (true) WITH CHECK (case_key <> ALL (ARRAY{sorted(bad)}))"
    mend = ("DROP POLICY p ON care_case", "ALTER TABLE care_case DISABLE ROW LEVEL SECURITY")
    with spoiled(lesser, "ALTER TABLE care_case ENABLE ROW LEVEL SECURITY", policy, mend=mend):
        outcomes = apply(lesser, upsert, *CASES)
    assert outcomes == [REFUSED if case["case_Key"] in bad else CREATED for case in CASES]


def test_a_trigger_that_may_not_read_another_table_refuses_items(lesser: Engine, upsert: Upsert) -> None:
    spoil = ("CREATE TABLE secrets (a int)", *refusing("PERFORM 1 FROM secrets;"))
    with spoiled(lesser, *spoil, mend=("DROP TABLE secrets",)):
        assert apply(lesser, upsert, *CASES) == ALL_BUT_THE_BAD


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_connection_that_ends_is_the_databases(engine: Engine, upsert: Upsert, attempts: int) -> None:
    ending = refusing("PERFORM pg_terminate_backend(pg_backend_pid());")
    with spoiled(engine, *ending), pytest.raises(TargetFailure) as failure:
        apply(engine, upsert, *CASES, attempts=attempts)
    assert failure.value.kind is FailureKind.AWAY


def test_a_trigger_that_waits_for_the_commit_refuses_its_item_alone(engine: Engine, upsert: Upsert) -> None:
    function, _ = refusing("PERFORM there_is_no_such_function();")
    trigger = (
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON care_case DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with spoiled(engine, function, trigger):
        assert apply(engine, upsert, *CASES) == ALL_BUT_THE_BAD


@contextmanager
def hasty(engine: Engine, seconds: float) -> Iterator[Engine]:
    """An engine whose statements may take so long, and wait half as long for a lock."""
    url = engine.url.render_as_string(hide_password=False)
    limits = {"statement_timeout_seconds": seconds, "lock_timeout_seconds": seconds / 2}
    made = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": url, **limits})))
    yield made
    made.dispose()


def attempted(
    engine: Engine, upsert: Upsert, *cases: dict[str, Any], seconds: float = 1, seq: int = 1
) -> tuple[int, list[Outcome]]:
    """Attempt a chunk until it is applied: how many attempts were too slow, and the outcomes. Raises other failures."""
    longest = timedelta(seconds=seconds)
    with hasty(engine, seconds) as limited:
        for attempts in range(20):
            with suppress(_TooSlow), told_apart():
                return attempts, apply(limited, upsert, *cases, attempts=attempts, longest=longest, seq=seq)
    raise AssertionError("no attempt came to an end")


class _TooSlow(Exception):
    """An attempt that was too slow."""


@contextmanager
def told_apart() -> Iterator[None]:
    try:
        yield
    except TargetFailure as failure:
        if failure.kind is FailureKind.TOO_SLOW:
            raise _TooSlow from None
        raise


@pytest.mark.parametrize("state", SLOW_STATES)
def test_a_state_of_haste_that_one_item_meets_for_ever_is_that_items_own(
    engine: Engine, upsert: Upsert, state: str
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
def test_an_item_alone_that_takes_too_long_is_refused(engine: Engine, upsert: Upsert, full: bool) -> None:
    with spoiled(engine, *refusing(SLOW)):
        if full:
            apply(engine, upsert, a_case(100))
        assert attempted(engine, upsert, a_case(BAD), seconds=3) == (1, [REFUSED])


def test_a_database_that_is_slow_for_every_item_blames_none(engine: Engine, upsert: Upsert) -> None:
    with spoiled(engine, *refusing(SLOW, when="true")), hasty(engine, 0.5) as limited:
        for attempts in (0, 1, 11):
            with pytest.raises(TargetFailure) as failure:
                apply(limited, upsert, *CASES, attempts=attempts, longest=timedelta(seconds=0.5))
            assert failure.value.kind is FailureKind.TOO_SLOW


def test_a_chunk_of_slow_items_that_come_in_time_is_applied(engine: Engine) -> None:
    with spoiled(engine, *refusing("PERFORM pg_sleep(0.06);", when="true")):
        attempts, outcomes = attempted(engine, PostgresUpsert(), *CASES)
    assert (attempts, outcomes) == (0, [CREATED] * 10)


def test_a_lock_on_one_case_is_waited_for_and_then_costs_that_item_alone(engine: Engine, upsert: Upsert) -> None:
    with spoiled(engine):
        apply(engine, upsert, *CASES)
        owner = create_engine(engine.url)
        with owner.begin() as other:
            other.execute(text(f"SELECT 1 FROM care_case WHERE case_key = {BAD} FOR UPDATE"))
            outcomes = attempted(engine, upsert, *CASES, seq=2)
        owner.dispose()
    assert outcomes == (3, [REFUSED if case["case_Key"] == BAD else UPDATED for case in CASES])


def test_a_lock_that_another_chunk_holds_costs_no_item(engine: Engine) -> None:
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
