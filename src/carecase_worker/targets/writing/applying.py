"""The two ways of writing a plan's cases in a transaction: fast, or sifting out those that the database refuses."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from carecase_worker.cases.outcomes import REFUSED, Outcome, none_applied
from carecase_worker.clock import monotonic
from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.dialects.upsert import Upsert
from carecase_worker.targets.plan import WritePlan, case_by_case
from carecase_worker.targets.writing.findings import Findings
from carecase_worker.targets.writing.sifting import Sifter
from carecase_worker.targets.writing.waves import apply_wave

_HURRY = 3 / 4
"""The fraction of an attempt's time from which the remaining time limits each further statement."""


@dataclass(frozen=True, slots=True)
class PlanOutcomes:
    """The outcome of each item, and how many items the database refused with which code."""

    outcomes: list[Outcome]
    refused: Counter[str] = field(default_factory=Counter)


Apply = Callable[[Connection, Upsert, WritePlan, Findings], PlanOutcomes]
"""A function that writes a plan's cases in the transaction of a connection."""


def apply_fast(connection: Connection, upsert: Upsert, plan: WritePlan, findings: Findings) -> PlanOutcomes:
    """Write each wave as a whole. Raises SQLAlchemyError for all if the database refuses one case."""
    dialect_of(connection).writing.begin_attempt(connection, findings.time_s)
    return _whole_or_nothing(connection, plan, lambda: _in_waves(connection, upsert, plan, findings))


def apply_bisecting(connection: Connection, upsert: Upsert, plan: WritePlan, findings: Findings) -> PlanOutcomes:
    """Write the cases without those that the database refuses, found by bisection.

    Raises TransactionLostError if it must start again, with the same findings.
    """
    writing = dialect_of(connection).writing
    writing.begin_attempt(connection, findings.time_s)
    writing.check_constraints_at_once(connection)
    return _whole_or_nothing(connection, plan, lambda: sift(connection, upsert, plan, findings))


def sift(connection: Connection, upsert: Upsert, plan: WritePlan, findings: Findings) -> PlanOutcomes:
    """Write the waves without the cases that the database refuses. Raises as `apply_bisecting`."""
    sifter, found = Sifter(connection, upsert, plan, findings), list(plan.decided)
    # a slow part of a wave comes after the others, which would change the order of one key's cases
    for wave in case_by_case(plan.waves, in_turn=not plan.slowly):
        for place, outcome in sifter.apply(wave).items():
            found[place] = outcome
    sifter.verify()
    return PlanOutcomes([outcome or REFUSED for outcome in found], sifter.refused)


def _in_waves(connection: Connection, upsert: Upsert, plan: WritePlan, findings: Findings) -> PlanOutcomes:
    found, limit_statements = list(plan.decided), dialect_of(connection).writing.limit_statements
    for number, wave in enumerate(plan.waves):
        left_s = findings.until - monotonic()
        if number and left_s < _HURRY * findings.time_s:
            limit_statements(connection, left_s)
        written = apply_wave(connection, upsert, wave, plan.guard_care_plan)
        for place, outcome in zip(wave.places, written, strict=True):
            found[place] = outcome
    return PlanOutcomes([outcome or REFUSED for outcome in found])


def _whole_or_nothing(connection: Connection, plan: WritePlan, apply: Callable[[], PlanOutcomes]) -> PlanOutcomes:
    """Apply a plan; if it is all or nothing and an item failed, roll back."""
    if not plan.all_or_nothing:
        return apply()
    savepoint = connection.begin_nested()
    applied = apply()
    if any(outcome.kind.failed for outcome in applied.outcomes):
        savepoint.rollback()
        return PlanOutcomes(none_applied(applied.outcomes), applied.refused)
    savepoint.commit()
    return applied
