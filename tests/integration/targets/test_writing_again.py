"""A transaction that came to nothing is done again at once, but for no longer than an attempt may take."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, insert
from tests.acceptance.system import eventually
from tests.builders import a_batch, a_case, a_lease
from tests.integration.targets.databases import a_database, ask, engine_at, raising, refusing, run
from tests.integration.targets.dry_runs import plan_of as dry_plan_of
from tests.services import Services

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import CANCELLED, CREATED, REFUSED, WOULD_CREATE, Outcome, pack_outcomes
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.dialects.postgresql.upsert import PostgresUpsert
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.plan import WritePlan
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.tables import INGEST_LEDGER
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer
from carecase_worker.worker.attempts.planning import plan_chunk

TRIED = "PERFORM nextval('tries');"
"""A sequence counts also what is rolled back."""


@pytest.fixture(scope="module")
def url(servers: Services) -> str:
    """The URL of a PostgreSQL database with a sequence to count with."""
    made = a_database(servers)
    with engine_at(made) as engine:
        upgrade(engine)
    run(made, "CREATE SEQUENCE tries")
    return made


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    with engine_at(url) as engine:
        run(url, "DELETE FROM care_case", "ALTER SEQUENCE tries RESTART")
        yield engine
    run(url, "DROP TRIGGER IF EXISTS refuse ON care_case")


def plan_of(*cases: dict[str, Any]) -> tuple[LedgerKey, WritePlan]:
    key = LedgerKey(uuid4(), 0)
    return key, plan_chunk(Chunk(0, len(cases), a_batch(*cases)), a_lease(key.job_id))


def failure(writer: Writer, *cases: dict[str, Any]) -> FailureKind:
    with pytest.raises(TargetFailure) as raised:
        writer.write(*plan_of(*cases))
    return raised.value.kind


@pytest.mark.parametrize("state", ["40001", "40P01"])
@pytest.mark.parametrize(("losses", "tries", "ends_well"), [(1, 2, True), (3, 4, True), (4, 4, False)])
def test_a_transaction_that_was_broken_off_for_another_is_tried_four_times(
    engine: Engine, url: str, state: str, losses: int, tries: int, ends_well: bool
) -> None:
    run(url, *refusing(raising(state), when=f"nextval('tries') <= {losses}"))
    writer = Writer(engine, PostgresUpsert())
    if ends_well:
        assert writer.write(*plan_of(a_case())) == [CREATED]
    else:
        assert failure(writer, a_case()) is FailureKind.TOO_SLOW
    assert ask(engine, "SELECT last_value FROM tries") == tries
    assert ask(engine, "SELECT count(*) FROM care_case") == int(ends_well)


def test_it_is_not_tried_again_once_the_time_of_the_attempt_is_over(engine: Engine, url: str) -> None:
    run(url, *refusing(f"{TRIED} PERFORM pg_sleep(0.3); {raising('40001')}", when="true"))
    assert failure(Writer(engine, PostgresUpsert(), longest=timedelta(seconds=0.2)), a_case()) is FailureKind.CONTENTION
    assert ask(engine, "SELECT last_value FROM tries") == 1


def test_all_waves_together_take_no_longer_than_an_attempt_may(engine: Engine, url: str) -> None:
    """Each statement is well within the time that a statement has."""
    run(url, *refusing("PERFORM pg_sleep(0.2);", when="true"))
    again_and_again = [a_case(1)] * 15
    assert failure(Writer(engine, PostgresUpsert(), longest=timedelta(seconds=1)), *again_and_again) is (
        FailureKind.TOO_SLOW
    )
    assert ask(engine, "SELECT count(*) FROM care_case") == 0
    assert len(Writer(engine, PostgresUpsert()).write(*plan_of(*again_and_again))) == 15


@pytest.mark.parametrize("commits", [True, False])
def test_of_two_attempts_at_the_same_time_the_first_one_to_commit_counts(
    engine: Engine, url: str, commits: bool
) -> None:
    key, plan = plan_of(a_case(1))
    row = {"job_id": key.job_id, "chunk_no": 0, "outcome": pack_outcomes([CANCELLED])}
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    patience = {"LOCK_TIMEOUT_SECONDS": "60", "STATEMENT_TIMEOUT_SECONDS": "8"}
    with engine_at(url, **patience) as patient, engine_at(url) as first, first.connect() as other:
        other.execute(insert(INGEST_LEDGER), row)
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(Writer(patient, PostgresUpsert()).write, key, plan)
            eventually(lambda: ask(engine, waits) == 1, what="the second waits for the first")
            (other.commit if commits else other.rollback)()
            outcomes: list[Outcome] = second.result()
    assert outcomes == ([CANCELLED] if commits else [CREATED])
    assert ask(engine, "SELECT count(*) FROM care_case") == int(not commits)


def test_a_rehearsal_reports_a_database_that_is_away(tmp_path: Path) -> None:
    with engine_at(f"sqlite:///{tmp_path / 'nowhere' / 'cases.sqlite'}") as nowhere:
        writer = Writer(nowhere, DIALECTS["sqlite"].writing.upsert)
        with pytest.raises(TargetFailure) as raised:
            writer.rehearse(plan_of(a_case())[1])
    assert raised.value.kind is FailureKind.AWAY


def test_a_rehearsal_goes_on_when_sqlite_takes_everything_back(tmp_path: Path) -> None:
    with engine_at(f"sqlite:///{tmp_path / 'cases.sqlite'}") as engine:
        upgrade(engine)
        trigger = (
            "CREATE TRIGGER t BEFORE INSERT ON care_case WHEN NEW.case_key = 2 BEGIN SELECT RAISE(ROLLBACK, ''); END"
        )
        with engine.begin() as connection:
            connection.exec_driver_sql(trigger)
        Writer(engine, DIALECTS["sqlite"].writing.upsert).rehearse(plan_of(a_case(1), a_case(2), a_case(3))[1])
        for table in ("care_case", "ingest_ledger"):
            assert ask(engine, f"SELECT count(*) FROM {table}") == 0


REFUSED_ONE = "IF NEW.case_key = 1 THEN RAISE EXCEPTION 'no' USING ERRCODE = 'P0001'; END IF;"


@pytest.mark.parametrize(("losses", "ends_well"), [(1, True), (10, False)])
def test_a_case_that_was_broken_off_beside_one_that_is_refused_has_the_transaction_done_again(
    engine: Engine, url: str, losses: int, ends_well: bool
) -> None:
    lost = f"IF NEW.case_key = 2 AND nextval('tries') <= {losses} THEN {raising('40001')} END IF;"
    run(url, *refusing(f"{REFUSED_ONE} {lost}", when="true"))
    writer, cases = Writer(engine, PostgresUpsert()), [a_case(key) for key in (1, 2, 3)]
    if ends_well:
        assert writer.write(*plan_of(*cases)) == [REFUSED, CREATED, CREATED]
    else:
        assert failure(writer, *cases) is FailureKind.TOO_SLOW
    assert ask(engine, "SELECT count(*) FROM care_case") == (2 if ends_well else 0)


@pytest.mark.parametrize(("losses", "tries", "ends_well"), [(3, 5, True), (4, 4, False)])
def test_a_group_that_is_broken_off_each_time_is_left_to_be_written_apart(
    engine: Engine, url: str, losses: int, tries: int, ends_well: bool
) -> None:
    """A strict chunk stays in the group meanwhile: none of its items failed."""
    run(url, *refusing(raising("40001"), when=f"nextval('tries') <= {losses}"))
    writer, (key, plan), other = Writer(engine, PostgresUpsert()), plan_of(a_case(1)), plan_of(a_case(2))
    members = [(key, replace(plan, all_or_nothing=True)), other]
    assert writer.write_group(members) == ([[CREATED], [CREATED]] if ends_well else [None, None])
    assert ask(engine, "SELECT last_value FROM tries") == tries
    assert ask(engine, "SELECT count(*) FROM care_case") == (2 if ends_well else 0)
    assert [writer.write(*member) for member in members] == [[CREATED], [CREATED]]
    assert ask(engine, "SELECT count(*) FROM care_case") == 2


@pytest.mark.parametrize(("losses", "ends_well"), [(2, True), (10, False)])
def test_a_group_with_a_case_that_is_refused_is_done_again_when_another_of_it_is_broken_off(
    engine: Engine, url: str, losses: int, ends_well: bool
) -> None:
    lost = f"IF NEW.case_key = 2 AND nextval('tries') <= {losses} THEN {raising('40001')} END IF;"
    run(url, *refusing(f"{REFUSED_ONE} {lost}", when="true"))
    written = Writer(engine, PostgresUpsert()).write_group([plan_of(a_case(1), a_case(2)), plan_of(a_case(3))])
    assert written == ([[REFUSED, CREATED], [CREATED]] if ends_well else [None, None])
    assert ask(engine, "SELECT count(*) FROM care_case") == (2 if ends_well else 0)


@pytest.mark.parametrize(("losses", "tries", "ends_well"), [(3, 4, True), (4, 4, False)])
def test_a_dry_run_that_is_broken_off_for_another_is_tried_four_times(
    engine: Engine, url: str, losses: int, tries: int, ends_well: bool
) -> None:
    run(url, *refusing(raising("40001"), when=f"nextval('tries') <= {losses}"))
    writer, plan = Writer(engine, PostgresUpsert()), dry_plan_of(a_case(), dry_run=True)
    if ends_well:
        assert writer.dry_run(plan) == [WOULD_CREATE]
    else:
        with pytest.raises(TargetFailure) as raised:
            writer.dry_run(plan)
        assert raised.value.kind is FailureKind.TOO_SLOW
    assert ask(engine, "SELECT last_value FROM tries") == tries
    assert ask(engine, "SELECT count(*) FROM care_case") == 0


@pytest.mark.parametrize(("losses", "outcome"), [(3, CREATED), (1000, REFUSED)])
def test_a_case_over_which_code_says_so_is_tried_some_times_alone_before_it_is_refused(
    engine: Engine, url: str, losses: int, outcome: Outcome
) -> None:
    run(url, *refusing(raising("40001"), when=f"NEW.case_key = 2 AND nextval('tries') <= {losses}"))
    key, plan = plan_of(*(a_case(key) for key in (1, 2, 3)))
    written = Writer(engine, PostgresUpsert()).write(key, replace(plan, attempts=1))
    assert written == [CREATED, outcome, CREATED]
