"""Dry runs at PostgreSQL: deferred constraints, rounding, triggers and locks count as in a real run."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text
from sqlalchemy.exc import OperationalError
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.integration.targets.databases import a_database, run_all
from tests.integration.targets.dry_runs import MOMENT, apply, made, plan_of, rehearse, writer_at
from tests.integration.targets.grounds import GROUNDS
from tests.services import Services

from carecase_worker.cases.outcomes import (
    UNCHANGED,
    Kind,
    would_update,
)
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.plan import WritePlan
from carecase_worker.targets.tenants import Tenant
from carecase_worker.targets.writing.writer import Writer


@pytest.fixture
def postgres(servers: Services) -> Iterator[Engine]:
    yield from made(a_database(servers))


def test_a_constraint_that_is_checked_at_the_commit_is_met(postgres: Engine) -> None:
    run_all(
        postgres,
        "CREATE TABLE statuses (name varchar PRIMARY KEY)",
        "INSERT INTO statuses VALUES ('OPEN')",
        "ALTER TABLE care_case ADD FOREIGN KEY (case_status) REFERENCES statuses DEFERRABLE INITIALLY DEFERRED",
    )
    outcomes = rehearse(postgres, a_case(1, case_Status="OPEN"), a_case(2, case_Status="LOST"))
    assert [one.kind for one in outcomes] == [Kind.WOULD_CREATE, Kind.CONFLICT]
    assert outcomes[1].body.startswith("case_Status: ")


def test_a_value_that_the_database_rounds_is_no_change(postgres: Engine) -> None:
    run_all(postgres, "ALTER TABLE care_case ALTER case_score TYPE numeric(4,1)")
    apply(postgres, a_case(1, case_Score=1.25))
    assert rehearse(postgres, a_case(1, case_Score=1.25)) == [UNCHANGED]
    assert rehearse(postgres, a_case(1, case_Score=1.35)) == [would_update(("case_Score",))]


def test_what_a_trigger_makes_of_a_case_counts(postgres: Engine) -> None:
    run_all(
        postgres,
        "CREATE FUNCTION mend() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " NEW.case_status := upper(NEW.case_status); NEW.case_reason := 'seen'; RETURN NEW; END $$",
    )
    apply(postgres, a_case(1, case_Status="open"))
    run_all(postgres, "CREATE TRIGGER mend BEFORE UPDATE ON care_case FOR EACH ROW EXECUTE FUNCTION mend()")
    assert rehearse(postgres, a_case(1, case_Status="open")) == [would_update(("case_Reason", "case_Status"))]


def test_it_waits_for_a_lock_no_longer_than_its_first_attempt_may_take(postgres: Engine) -> None:
    """Also if the database's own limits are longer; and it holds nothing afterwards."""
    apply(postgres, a_case(1), a_case(2))
    limits = {"statement_timeout_seconds": 400, "lock_timeout_seconds": 300}
    patient = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": str_of(postgres), **limits})))
    other = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": str_of(postgres)})))
    with other.connect() as holder, holder.begin():
        holder.execute(text("SELECT FROM care_case WHERE case_key = 2 FOR UPDATE"))
        waits_ms: list[str] = []

        def note(*executed: Any) -> None:
            _, _, statement, parameters, *_ = executed
            if "lock_timeout" in statement:
                waits_ms.append(parameters["lock_ms"])

        event.listen(patient, "before_cursor_execute", note)
        with pytest.raises(TargetFailure) as failed:
            writer_at(patient).dry_run(plan_of(a_case(1), a_case(2), dry_run=True))
        assert failed.value.kind is FailureKind.TOO_SLOW
        assert waits_ms == ["1600"], "four fifths of two seconds, once"
        holder.execute(text("SELECT FROM care_case WHERE case_key = 1 FOR UPDATE NOWAIT"))
    other.dispose()
    patient.dispose()


@pytest.fixture
def others(postgres: Engine) -> Iterator[Engine]:
    """Sessions that are not the service's."""
    engine = create_engine(postgres.url, poolclass=NullPool)
    yield engine
    engine.dispose()


def wait_for_dry_run(others: Engine) -> None:
    """Go on once the dry run waits for a row that another session has locked."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    looking = others.execution_options(isolation_level="AUTOCOMMIT")

    def dry_run_waits() -> bool:
        with looking.connect() as connection:
            return bool(connection.execute(text(waits)).all())

    eventually(dry_run_waits, what="the dry run waits for the row")


def patiently(*cases: dict[str, object]) -> WritePlan:
    """The plan of a second attempt, which has the time of a real one."""
    return replace(plan_of(*cases, dry_run=True), attempts=1)


def test_what_another_writes_while_it_waits_is_no_change_of_its_own(postgres: Engine, others: Engine) -> None:
    apply(postgres, a_case(1, case_Reason="A"))
    with ThreadPoolExecutor(1) as threads:
        with others.begin() as other:
            other.execute(text("UPDATE care_case SET case_reason = 'B' WHERE case_key = 1"))
            dry_run = threads.submit(writer_at(postgres).dry_run, patiently(a_case(1, case_Reason="B")))
            wait_for_dry_run(others)
        assert dry_run.result() == [UNCHANGED]


@contextmanager
def dry_run_that_waits(postgres: Engine, others: Engine, key: int) -> Iterator[Connection]:
    """Have a dry run of the cases 1 and 2 wait for one of them; the session that has locked this one."""
    with ThreadPoolExecutor(1) as threads:
        with others.begin() as other:
            other.execute(text("SELECT FROM care_case WHERE case_key = :key FOR UPDATE"), {"key": key})
            dry_run = threads.submit(writer_at(postgres).dry_run, patiently(a_case(1), a_case(2)))
            wait_for_dry_run(others)
            yield other
        assert dry_run.result() == [UNCHANGED] * 2


def test_it_locks_cases_in_the_order_of_their_keys_wherever_they_are_stored(postgres: Engine, others: Engine) -> None:
    """As every batch does; or else it and a batch with the same cases would lock each other out."""
    for key in (2, 1):
        apply(postgres, a_case(key))
    with dry_run_that_waits(postgres, others, 1) as other:
        other.execute(text("SELECT FROM care_case WHERE case_key = 2 FOR UPDATE NOWAIT"))


def test_while_a_case_is_compared_others_may_refer_to_it_but_neither_write_nor_compare_it(
    postgres: Engine, others: Engine
) -> None:
    """Two dry runs that both had it would lock each other out once they write it."""
    apply(postgres, a_case(1), a_case(2))
    with dry_run_that_waits(postgres, others, 2) as other:
        other.execute(text("SELECT FROM care_case WHERE case_key = 1 FOR KEY SHARE NOWAIT"))
        with pytest.raises(OperationalError, match="could not obtain lock"), other.begin_nested():
            other.execute(text("SELECT FROM care_case WHERE case_key = 1 FOR SHARE NOWAIT"))


@pytest.mark.parametrize("care_plan", [None, 5])
def test_cases_that_come_often_are_answered_as_if_each_came_alone(postgres: Engine, care_plan: int | None) -> None:
    run_all(
        postgres,
        *GROUNDS["postgresql"].fail_over_trigger_and_pass_over_skip,
        "CREATE FUNCTION round_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.case_score <> ceil(NEW.case_score) THEN"
        " UPDATE care_case SET case_score = ceil(NEW.case_score) WHERE case_key = NEW.case_key; END IF;"
        " RETURN NULL; END $$",
        "CREATE TRIGGER round_up AFTER INSERT OR UPDATE ON care_case FOR EACH ROW EXECUTE FUNCTION round_up()",
    )
    random = Random(4)
    apply(postgres, a_case(1, case_Score=1), a_case(2, carePlan_Key=6))
    cases = [
        a_case(
            random.choice([1, 1, 2, 3]),
            carePlan_Key=random.choice([5, 5, 5, care_plan or 6]),
            case_Score=random.choice([None, 0, -0.0, 1, 0.5, 1.5]),
            case_Status=random.choice(["ok", "ok", "ok", "ok", None, "skip"]),
            update_User=random.choice([None, "ann"]),
            case_Start_Date=random.choice([None, MOMENT, "2026-01-02T04:04:05.6789+01:00"]),
        )
        for _ in range(120)
    ]
    outcomes = rehearse(postgres, *cases, care_plan=care_plan)
    portable = Writer(postgres, GROUNDS["postgresql"].other_upserts["portable"]())
    assert portable.dry_run(plan_of(*cases, dry_run=True, care_plan=care_plan)) == outcomes
    assert len(set(outcomes)) > 5


def str_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)
