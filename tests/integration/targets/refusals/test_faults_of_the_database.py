"""A fault that no item escapes is the database's, and costs no item."""

import pytest
from sqlalchemy import Engine
from tests.builders import a_case
from tests.integration.targets.databases import BAD, ask, raising, refusing
from tests.integration.targets.refusals.spoiling import CASES, apply, run, spoiled

from carecase_worker.cases.outcomes import Kind
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.dialects.upsert import ComparableUpsert

WHOLE_TABLE = {
    "no table": ("ALTER TABLE care_case RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO care_case"),
    "no column": (
        "ALTER TABLE care_case RENAME case_reason TO reason", "ALTER TABLE care_case RENAME reason TO case_reason",
    ),
    "no ledger": ("ALTER TABLE ingest_ledger RENAME TO ledger", "ALTER TABLE ledger RENAME TO ingest_ledger"),
    "no schema": ("ALTER SCHEMA public RENAME TO private", "ALTER SCHEMA private RENAME TO public"),
}  # fmt: skip


@pytest.mark.parametrize("what", WHOLE_TABLE)
def test_a_schema_that_fits_no_item_is_the_databases(engine: Engine, upsert: ComparableUpsert, what: str) -> None:
    spoil, mend = WHOLE_TABLE[what]
    with spoiled(engine, spoil, mend=(mend,)), pytest.raises(TargetFailure) as failure:
        apply(engine, upsert, *CASES)
    assert failure.value.kind is FailureKind.AWAY
    assert "(42P01)" in str(failure.value) or "(42703)" in str(failure.value)


@pytest.mark.parametrize("state", ["42883", "53100", "57P03"])
@pytest.mark.parametrize("full", [True, False])
def test_a_state_that_every_row_meets_is_the_databases(
    engine: Engine, upsert: ComparableUpsert, state: str, full: bool
) -> None:
    with spoiled(engine):
        if full:
            apply(engine, upsert, a_case(100))
        run(engine, *refusing(raising(state), when="true"))
        with pytest.raises(TargetFailure) as failure:
            apply(engine, upsert, *CASES)
    assert failure.value.kind is FailureKind.AWAY
    assert state in str(failure.value)


FULL_DISK = "COPY (SELECT 1) TO '/dev/full';"
"""A statement that meets a disk without room: its 53100 is the server's own."""


@pytest.mark.parametrize("attempts", [0, 1], ids=["usual", "slow"])
@pytest.mark.parametrize("cases", [CASES, [a_case(BAD)] * 8], ids=["distinct", "repeated"])
def test_a_disk_that_is_full_when_a_trigger_writes_costs_no_item_though_there_is_room_for_some(
    engine: Engine, upsert: ComparableUpsert, cases: list[dict[str, object]], attempts: int
) -> None:
    with spoiled(engine, *refusing(FULL_DISK, when="NEW.case_key % 2 = 1")):
        with pytest.raises(TargetFailure) as failure:
            apply(engine, upsert, *cases, attempts=attempts)
        assert ask(engine, "SELECT count(*) FROM care_case") == 0
    assert failure.value.kind is FailureKind.AWAY
    assert failure.value.cause == Causes.DISK_FULL.value


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
def test_a_privilege_that_no_item_has_is_the_databases(lesser: Engine, upsert: ComparableUpsert, lacking: str) -> None:
    mend = ("GRANT USAGE ON SCHEMA public TO public",)
    with spoiled(lesser, lacking, mend=mend), pytest.raises(TargetFailure) as failure:
        apply(lesser, upsert, *CASES)
    assert failure.value.kind is FailureKind.AWAY


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_connection_that_ends_is_the_databases(engine: Engine, upsert: ComparableUpsert, attempts: int) -> None:
    ending = refusing("PERFORM pg_terminate_backend(pg_backend_pid());")
    with spoiled(engine, *ending), pytest.raises(TargetFailure) as failure:
        apply(engine, upsert, *CASES, attempts=attempts)
    assert failure.value.kind is FailureKind.AWAY


def test_an_item_that_was_judged_shows_that_the_database_answers_for_each(
    engine: Engine, upsert: ComparableUpsert
) -> None:
    """One item violates a constraint, and all others, any that is tried for comparison too, meet another fault."""
    judging = f"IF NEW.case_key = {BAD} THEN {raising('23514')} ELSE {raising('57P03')} END IF;"
    with spoiled(engine, *refusing(judging, when="true")):
        outcomes = apply(engine, upsert, a_case(BAD), a_case(1))
        assert [outcome.kind for outcome in outcomes] == [Kind.CONFLICT, Kind.REFUSED]
        with pytest.raises(TargetFailure):
            apply(engine, upsert, a_case(1), a_case(2))


def test_updates_that_no_case_gets_past_are_the_databases_though_it_takes_new_cases(
    engine: Engine, upsert: ComparableUpsert
) -> None:
    with spoiled(engine):
        apply(engine, upsert, a_case(1))
        run(engine, *refusing(raising("57P03"), when="TG_OP = 'UPDATE'"))
        with pytest.raises(TargetFailure) as failure:
            apply(engine, upsert, a_case(1), seq=2)
    assert failure.value.kind is FailureKind.AWAY
