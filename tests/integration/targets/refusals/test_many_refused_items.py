"""Many refused items cost a few statements, so that a chunk of them ends in time however far its database is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event, text
from tests.builders import a_batch, a_case, a_lease
from tests.integration.targets.databases import raising, refusing
from tests.integration.targets.refusals.spoiling import apply, attempted, hasty, owner_of, run, spoiled

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import CREATED, REFUSED, WOULD_CREATE, Kind, Outcome
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.dialects.postgresql.upsert import PostgresUpsert
from carecase_worker.targets.plan import WritePlan
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.targets.writing.writer import Writer
from carecase_worker.worker.attempts.planning import plan_chunk

FEW = 80
"""Statements, savepoints among them, of a chunk that has refused items. By halves alone, forty of them take 1,200."""
IS_BAD = "NEW.case_priority = 0"
CHECKED = "ALTER TABLE care_case ADD CONSTRAINT over_zero CHECK (case_priority > 0)"
UNCHECKED = "ALTER TABLE care_case DROP CONSTRAINT over_zero"
REFERRING = (
    "CREATE TABLE priorities (priority int PRIMARY KEY)",
    "INSERT INTO priorities VALUES (1)",
    "ALTER TABLE care_case ADD CONSTRAINT listed FOREIGN KEY (case_priority) REFERENCES priorities",
)
NOT_REFERRING = ("ALTER TABLE care_case DROP CONSTRAINT listed", "DROP TABLE priorities")


@dataclass(frozen=True)
class Spoil:
    """Statements by which a database refuses bad cases, those that undo it, and the outcome of a bad case."""

    statements: Sequence[str]
    mend: tuple[str, ...]
    kind: Kind


SPOILS = {
    "check": Spoil((CHECKED,), (UNCHECKED,), Kind.CONFLICT),
    "foreign key": Spoil(REFERRING, NOT_REFERRING, Kind.CONFLICT),
    "trigger": Spoil(refusing("RAISE 'not case %', NEW.case_key;", IS_BAD), (), REFUSED.kind),
    "failing assertion": Spoil(refusing("ASSERT false;", IS_BAD), (), REFUSED.kind),
    "broken trigger": Spoil(refusing("PERFORM there_is_no_such_function();", IS_BAD), (), REFUSED.kind),
}


def cases_of(bad: range, count: int = 1000) -> list[dict[str, Any]]:
    return [a_case(key, case_Priority=0 if key in bad else 1) for key in range(count)]


def plan_of(cases: Sequence[dict[str, Any]], attempts: int = 0, dry_run: bool = False) -> WritePlan:
    lease = a_lease(uuid4(), dry_run=dry_run)
    return replace(plan_chunk(Chunk(0, len(cases), a_batch(*cases)), lease), attempts=attempts)


@contextmanager
def noting(engine: Engine, note: Callable[[str], None]) -> Iterator[None]:
    """Tell each statement to a function before the database has it."""

    def noted(_: object, __: object, statement: str, *___: object) -> None:
        note(statement)

    with engine.connect():  # the session is set up before
        pass
    event.listen(engine, "before_cursor_execute", noted)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", noted)


@pytest.mark.parametrize("attempts", [0, 1], ids=["usual", "slow"])
@pytest.mark.parametrize("bad", [range(500, 501), range(0, 1000, 25), range(0, 999, 2)], ids=len)
@pytest.mark.parametrize("name", SPOILS)
def test_however_many_are_refused_it_takes_a_few_statements(
    engine: Engine, name: str, bad: range, attempts: int
) -> None:
    spoil, sent = SPOILS[name], list[str]()
    with spoiled(engine, *spoil.statements, mend=spoil.mend), noting(engine, sent.append):
        plan = plan_of(cases_of(bad), attempts)
        outcomes = Writer(engine, PostgresUpsert()).write(LedgerKey(uuid4(), 0), plan)
    kinds = [outcome.kind for outcome in outcomes]
    assert kinds == [spoil.kind if key in bad else Kind.CREATED for key in range(1000)]
    assert len(sent) <= FEW


def test_all_are_refused_by_a_few_statements(engine: Engine) -> None:
    sent: list[str] = []
    with spoiled(engine, *REFERRING, mend=NOT_REFERRING), noting(engine, sent.append):
        outcomes = apply(engine, PostgresUpsert(), *cases_of(range(1000)))
    body = "case_Priority: the item conflicts with a foreign key of the target database (listed)"
    assert outcomes == [Outcome(Kind.CONFLICT, body)] * 1000
    assert len(sent) <= FEW


def test_items_that_break_different_constraints_of_one_kind_are_told_which(engine: Engine) -> None:
    scored = "ALTER TABLE care_case ADD CONSTRAINT scored CHECK (case_score > 0)"
    cases = [a_case(key, case_Priority=key % 2, case_Score=1 - key % 2) for key in range(40)]
    with spoiled(engine, CHECKED, scored, mend=(UNCHECKED, "ALTER TABLE care_case DROP CONSTRAINT scored")):
        outcomes = apply(engine, PostgresUpsert(), *cases)
    assert [outcome.body.partition(":")[0] for outcome in outcomes] == ["case_Priority", "case_Score"] * 20


def test_a_dry_run_of_many_refused_ones_is_a_few_statements(engine: Engine) -> None:
    bad, sent = range(0, 1000, 2), list[str]()
    with spoiled(engine, CHECKED, mend=(UNCHECKED,)), noting(engine, sent.append):
        outcomes = Writer(engine, PostgresUpsert()).dry_run(plan_of(cases_of(bad), dry_run=True))
    assert [one.kind for one in outcomes if one != WOULD_CREATE] == [Kind.CONFLICT] * len(bad)
    assert len(sent) <= 2 * FEW, "what is there is read before and after"


@pytest.fixture
def policed(lesser: Engine) -> Iterator[Engine]:
    """The engine of a user whose bad cases a policy refuses."""
    policy = "CREATE POLICY p ON care_case USING (true) WITH CHECK (case_priority > 0)"
    mend = ("DROP POLICY p ON care_case", "ALTER TABLE care_case DISABLE ROW LEVEL SECURITY")
    with spoiled(lesser, "ALTER TABLE care_case ENABLE ROW LEVEL SECURITY", policy, mend=mend):
        yield lesser


@pytest.mark.parametrize("bad", [range(0, 1000, 2), range(1000)], ids=["half", "all"])
def test_row_security_refuses_many_by_a_few_statements(policed: Engine, bad: range) -> None:
    sent: list[str] = []
    with noting(policed, sent.append):
        outcomes = apply(policed, PostgresUpsert(), *cases_of(bad))
    assert outcomes == [REFUSED if key in bad else CREATED for key in range(1000)]
    assert len(sent) <= FEW


@dataclass
class Script:
    """What happens meanwhile: before the first block, before the savepoint after it, and before the second block."""

    parts: Sequence[Callable[[], object]]
    blocks: int = 0
    begun: int = 0

    def __call__(self, statement: str) -> None:
        is_block = statement.lstrip().startswith("DO ")
        self.blocks += is_block
        is_due = (is_block, statement.startswith("SAVEPOINT") and self.blocks == 1, is_block and self.blocks == 2)
        if self.begun < len(self.parts) and is_due[self.begun]:
            self.begun += 1
            self.parts[self.begun - 1]()


def nothing() -> None:
    """Nothing happens."""


def test_a_privilege_that_is_revoked_meanwhile_is_not_taken_for_the_refusal_of_a_policy(policed: Engine) -> None:
    """Both have the same SQLSTATE, and no names."""
    script = Script([nothing, nothing, lambda: run(policed, "REVOKE INSERT ON care_case FROM lesser")])
    with noting(policed, script), pytest.raises(TargetFailure) as failure:
        apply(policed, PostgresUpsert(), *cases_of(range(98, 100), 100))  # the last two, so that nothing else is tried
    assert (failure.value.kind, script.begun) == (FailureKind.AWAY, 3)


def test_a_case_that_the_database_takes_after_all_is_written(engine: Engine) -> None:
    """Its parent comes between the refusal and the second try."""
    script = Script([nothing, lambda: run(engine, "INSERT INTO priorities VALUES (0)")])
    with spoiled(engine, *REFERRING, mend=("TRUNCATE care_case", *NOT_REFERRING)), noting(engine, script):
        outcomes = apply(engine, PostgresUpsert(), *cases_of(range(100), 100))
    assert outcomes == [CREATED] * 100


def test_a_case_that_is_refused_otherwise_the_second_time_decides_for_no_other(engine: Engine) -> None:
    conflict, other = (refusing(raising(state), IS_BAD) for state in ("23514", "ZZ999"))
    script = Script([nothing, lambda: run(engine, other[0]), lambda: run(engine, conflict[0])])
    with spoiled(engine, *conflict), noting(engine, script):
        outcomes = apply(engine, PostgresUpsert(), *cases_of(range(16), 16))
    assert script.begun == 3
    assert outcomes[0] == REFUSED
    assert {outcome.kind for outcome in outcomes[1:]} == {Kind.CONFLICT}


def test_a_lock_is_waited_for_once(engine: Engine) -> None:
    """A second wait would be longer than an attempt may take."""
    sent: list[str] = []
    with spoiled(engine, CHECKED, mend=(UNCHECKED,)), hasty(engine, 4) as limited:
        apply(engine, PostgresUpsert(), a_case(99, case_Priority=1))
        with owner_of(engine.url).begin() as other:
            other.execute(text("SELECT 1 FROM care_case WHERE case_key = 99 FOR UPDATE"))
            with noting(limited, sent.append), pytest.raises(TargetFailure) as failure:
                apply(limited, PostgresUpsert(), *cases_of(range(99), 100), seq=2, longest=timedelta(seconds=4))
    assert failure.value.kind is FailureKind.TOO_SLOW
    *_, last = (statement for statement in sent if "json_to_recordset" in statement)
    assert last.lstrip().startswith("DO "), "a block met the lock, and no other statement did"


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03", "57014", "P0004", "53100", "42501"])
def test_among_many_refused_ones_an_item_of_another_state_has_its_own_outcome(engine: Engine, state: str) -> None:
    bad = range(0, 60, 2)
    with spoiled(engine, CHECKED, *refusing(raising(state), "NEW.case_key = 31"), mend=(UNCHECKED,)):
        attempts, outcomes = attempted(engine, PostgresUpsert(), *cases_of(bad, 60), seconds=6)
    assert outcomes[31] == REFUSED
    assert [key for key, outcome in enumerate(outcomes) if outcome.kind is Kind.CONFLICT] == [*bad]
    assert sum(outcome == CREATED for outcome in outcomes) == 29
    assert attempts <= 3


def test_an_item_that_is_slow_among_many_refused_ones_is_refused(engine: Engine) -> None:
    bad = range(0, 1000, 2)
    with spoiled(engine, CHECKED, *refusing("PERFORM pg_sleep(30);", "NEW.case_key = 501"), mend=(UNCHECKED,)):
        _, outcomes = attempted(engine, PostgresUpsert(), *cases_of(bad), seconds=6)
    assert [key for key, outcome in enumerate(outcomes) if outcome == REFUSED] == [501]
    assert sum(outcome.kind is Kind.CONFLICT for outcome in outcomes) == 500


def test_faults_that_are_all_different_are_found_by_halves_after_some(engine: Engine) -> None:
    fault = "EXECUTE format('SELECT 1 / (%s - %s)', NEW.case_key, NEW.case_key);"  # each in a context of its own
    sent: list[str] = []
    with spoiled(engine, *refusing(fault, IS_BAD)), noting(engine, sent.append):
        outcomes = apply(engine, PostgresUpsert(), *cases_of(range(0, 100, 2), 100))
    assert outcomes == [CREATED if key % 2 else REFUSED for key in range(100)]
    assert 16 <= sum(statement.lstrip().startswith("DO ") for statement in sent) <= 20


def test_a_case_that_a_block_wrote_shows_that_the_database_is_not_away(engine: Engine) -> None:
    with spoiled(engine, *refusing("PERFORM there_is_no_such_function();", "NEW.case_key <> 1")):
        outcomes = apply(engine, PostgresUpsert(), *cases_of(range(0), 16))
    assert outcomes == [REFUSED, CREATED, *[REFUSED] * 14]


def test_a_user_who_may_not_run_blocks_has_the_same_outcomes(lesser: Engine) -> None:
    spoil = (CHECKED, "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC")
    mend = (UNCHECKED, "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC")
    with spoiled(lesser, *spoil, mend=mend):
        outcomes = apply(lesser, PostgresUpsert(), *cases_of(range(0, 40, 2), 40))
    assert [outcome.kind for outcome in outcomes] == [Kind.CONFLICT, Kind.CREATED] * 20


def test_a_strict_batch_of_many_refused_ones_is_not_applied(engine: Engine) -> None:
    with spoiled(engine, CHECKED, mend=(UNCHECKED,)):
        outcomes = apply(engine, PostgresUpsert(), *cases_of(range(0, 100, 2), 100), strict=True)
        assert apply(engine, PostgresUpsert(), *cases_of(range(0), 100)) == [CREATED] * 100
    assert [outcome.kind for outcome in outcomes] == [Kind.CONFLICT, Kind.NOT_APPLIED] * 50
