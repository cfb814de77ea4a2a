"""An SQLite database that refuses one item and answers: that item gets its own outcome, and all others are applied."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from tests.builders import a_case
from tests.integration.targets.dry_runs import plan_of
from tests.integration.targets.engines import engine_at
from tests.integration.targets.refusals.spoiling import apply, attempted

from carecase_worker.cases.outcomes import CREATED, NOT_APPLIED, REFUSED, UPDATED
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.dialects.sqlite.upsert import SqliteUpsert
from carecase_worker.targets.dialects.upsert import Written
from carecase_worker.targets.plan import Wave
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer

UPSERT = DIALECTS["sqlite"].writing.upsert
BAD = {7, 300}
CASES = [a_case(key, case_Status="{" if key in BAD else "{}") for key in range(500)]
ALL_BUT_THE_BAD = [REFUSED if case["case_Key"] in BAD else CREATED for case in CASES]
FOR_EVER = "SELECT max(n) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c)"

TRIGGERS = {
    "abort": "SELECT RAISE(ABORT, 'no')",
    "fail": "SELECT RAISE(FAIL, 'no')",
    "rollback": "SELECT RAISE(ROLLBACK, 'no')",
    "ignore": "SELECT RAISE(IGNORE)",
    "an error of a function": "SELECT json_extract(NEW.case_status, '$.a')",
    "a number that is too large": "SELECT abs(-9223372036854775808)",
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = engine_at(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    yield engine
    pool: Any = engine.pool
    assert pool.checkedout() == 0, "a connection was not given back"
    engine.dispose()


def add_trigger(engine: Engine, statement: str, bad: set[int] | None = BAD) -> None:
    """Have a statement run before some cases are inserted, or all."""
    when = f"WHEN NEW.case_key IN ({', '.join(map(str, sorted(bad)))})" if bad else ""
    owner = create_engine(engine.url)
    with owner.begin() as connection:
        connection.execute(text(f"CREATE TRIGGER refuse BEFORE INSERT ON care_case {when} BEGIN {statement}; END"))
    owner.dispose()


@pytest.mark.parametrize("what", TRIGGERS)
def test_items_over_which_a_trigger_fails_are_refused_alone(engine: Engine, what: str) -> None:
    add_trigger(engine, TRIGGERS[what])
    assert apply(engine, UPSERT, *CASES) == ALL_BUT_THE_BAD
    others = [case for case in CASES if case["case_Key"] not in BAD]
    assert apply(engine, UPSERT, *others, seq=2) == [UPDATED] * len(others)
    assert apply(engine, UPSERT, CASES[7], seq=3) == [REFUSED], "alone in its batch"


def test_a_whole_batch_with_such_an_item_is_not_applied(engine: Engine) -> None:
    add_trigger(engine, TRIGGERS["rollback"])
    expected = [REFUSED if one == REFUSED else NOT_APPLIED for one in ALL_BUT_THE_BAD]
    assert apply(engine, UPSERT, *CASES, strict=True) == expected


@pytest.mark.parametrize("statement", ["SELECT * FROM there_is_none", "SELECT there_is_none(1)"])
def test_a_trigger_that_no_insert_gets_past_is_the_databases(engine: Engine, statement: str) -> None:
    add_trigger(engine, statement, None)
    with pytest.raises(TargetFailure) as failure:
        apply(engine, UPSERT, *CASES)
    assert failure.value.kind is FailureKind.AWAY
    assert "SQLITE_ERROR" in str(failure.value)


def test_items_that_take_too_long_are_refused_and_the_others_applied(engine: Engine) -> None:
    add_trigger(engine, FOR_EVER)
    places = [*range(20), 300]
    attempts, outcomes = attempted(engine, UPSERT, *(CASES[place] for place in places), seconds=2)
    assert outcomes == [ALL_BUT_THE_BAD[place] for place in places]
    assert attempts <= 7


def test_an_item_alone_that_takes_too_long_is_refused(engine: Engine) -> None:
    add_trigger(engine, FOR_EVER)
    attempts, outcomes = attempted(engine, UPSERT, CASES[7])
    assert outcomes == [REFUSED]
    assert attempts <= 5


def test_a_database_that_is_slow_for_every_item_blames_none(engine: Engine) -> None:
    add_trigger(engine, FOR_EVER, None)
    for attempts in (0, 1, 11):
        with pytest.raises(TargetFailure) as failure:
            apply(engine, UPSERT, *CASES[:3], attempts=attempts, longest=timedelta(seconds=0.5))
        assert failure.value.kind is FailureKind.TOO_SLOW


def test_what_was_written_is_not_lost_over_a_look_at_the_database(engine: Engine) -> None:
    """The look is a case of its own; if it is interrupted, SQLite takes back what was written before it."""
    assert apply(engine, UPSERT, a_case(99, case_Status="SLOW")) == [CREATED]
    owner = create_engine(engine.url)
    with owner.begin() as connection:
        connection.execute(
            text(f"CREATE TRIGGER slow BEFORE INSERT ON care_case WHEN NEW.case_status = 'SLOW' BEGIN {FOR_EVER}; END")
        )
    cases = [a_case(1), a_case(2, case_Status="SLOW"), a_case(3, case_Status="SLOW")]
    _, outcomes = attempted(engine, UPSERT, *cases, seconds=2)
    assert outcomes == [CREATED, REFUSED, REFUSED]
    with owner.connect() as connection:
        assert set(connection.scalars(text("SELECT case_key FROM care_case"))) == {1, 99}
    owner.dispose()


def test_an_item_that_takes_too_long_beside_one_that_is_refused_waits_for_an_attempt_that_has_time_for_it(
    engine: Engine,
) -> None:
    add_trigger(engine, TRIGGERS["abort"], {7})
    owner = create_engine(engine.url)
    with owner.begin() as connection:
        connection.execute(
            text(f"CREATE TRIGGER slow BEFORE INSERT ON care_case WHEN NEW.case_key = 300 BEGIN {FOR_EVER}; END")
        )
    owner.dispose()
    places = [7, 8, 300]
    with pytest.raises(TargetFailure) as failure:
        apply(engine, UPSERT, *(CASES[place] for place in places), longest=timedelta(seconds=0.5))
    assert failure.value.kind is FailureKind.TOO_SLOW
    _, outcomes = attempted(engine, UPSERT, *(CASES[place] for place in places), seconds=2)
    assert outcomes == [ALL_BUT_THE_BAD[place] for place in places]


def test_what_was_found_out_about_a_group_is_forgotten_once_one_of_it_turns_out_to_be_recorded(engine: Engine) -> None:
    """Items are known by their places in the group, which change then; the trigger ends the transaction each time."""
    add_trigger(engine, TRIGGERS["rollback"])
    writer = Writer(engine, UPSERT)
    first, second = ((LedgerKey(uuid4(), 0), plan_of(*map(a_case, keys))) for keys in ((1,), (7, 8)))
    assert writer.write(*first) == [CREATED]
    assert writer.write_group([first, second]) == [None, [REFUSED, CREATED]]


class Losing(SqliteUpsert):
    """An upsert after which the transaction is over, though nothing said so."""

    def write(self, connection: Connection, wave: Wave, guard_care_plan: bool) -> Written:
        written = super().write(connection, wave, guard_care_plan)
        connection.exec_driver_sql("ROLLBACK")
        return written


def test_of_cases_that_were_lost_with_their_transaction_the_ledger_tells_nothing(engine: Engine) -> None:
    """A row there would be committed by itself, and every later attempt would take the cases for written."""
    writer, members = Writer(engine, Losing()), [(LedgerKey(uuid4(), 0), plan_of(a_case(key))) for key in (1, 2)]
    for attempt in (lambda: writer.write(*members[0]), lambda: writer.write_group(members)):
        with pytest.raises(TargetFailure) as failure:
            attempt()
        assert failure.value.kind is FailureKind.TOO_SLOW, "they are tried again"
    with engine.connect() as connection:
        for table in ("care_case", "ingest_ledger"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    assert Writer(engine, UPSERT).write(*members[0]) == [CREATED]


def test_a_dry_run_whose_transaction_was_lost_tells_of_no_outcome(engine: Engine) -> None:
    with pytest.raises(TargetFailure) as failure:
        Writer(engine, Losing()).dry_run(plan_of(a_case(1), dry_run=True))
    assert failure.value.kind is FailureKind.TOO_SLOW
