"""Comparison of cases before and after they are written: which fields a dry run would change.

Both sides are read from the database, so that changes by triggers, rounding or truncation count as well.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from carecase_worker.cases.care_case import FIELDS, KEY, UPDATE_DATE, UPDATE_USER
from carecase_worker.cases.outcomes import WOULD_CREATE, Kind, Outcome, would_update
from carecase_worker.targets.dialects.upsert import (
    ComparableUpsert,
    Compared,
    Fault,
    Newer,
    StoredCase,
    Turn,
    Written,
    write_one_by_one,
)
from carecase_worker.targets.plan import Wave, WaveOfRows, WritePlan
from carecase_worker.targets.tables import CARE_CASE

_COMPARED = [CARE_CASE.c[field.name] for field in FIELDS]
_STORED = select(*_COMPARED).order_by(CARE_CASE.c[KEY])
_LOCKED = _STORED.with_for_update(key_share=True)
"""The same, locked in key order like the upsert, so that nothing changes between reading and writing."""
_KEY_PLACE = next(place for place, field in enumerate(FIELDS) if field.name == KEY)
_AUDITED = frozenset({UPDATE_DATE, UPDATE_USER})
"""The fields that an item may omit: a default is not a change."""

Rows = Mapping[int, Sequence[Any]]
"""Fields of cases by key, in the order of the field table."""


class ComparingUpsert:
    """An upsert that records which fields of each case it changes, by version."""

    def __init__(self, upsert: ComparableUpsert) -> None:
        self._upsert = upsert
        self._changes: dict[int, tuple[str, ...]] = {}
        self._alike: dict[tuple[str, ...], tuple[str, ...]] = {}

    def write(self, connection: Connection, wave: Wave, guard_care_plan: bool) -> Written:
        """Write the cases that pass the guards."""
        before = _read(connection, wave.keys, _LOCKED)
        written = self._upsert.write(connection, wave, guard_care_plan)
        if before and written.updated:
            after = _read(connection, written.updated, _STORED)
            for key, version in zip(wave.keys, wave.versions, strict=True):
                if key in before and key in after:
                    changes = _changed(before[key], after[key])
                    self._changes[version] = self._alike.setdefault(changes, changes)
        return written

    def stored(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, StoredCase]:
        """Read the stored cases with these keys; missing ones are left out."""
        return self._upsert.stored(connection, keys)

    def newer(self, connection: Connection, keys: Sequence[int], versions: Sequence[int]) -> Newer:
        """Count the stored cases with these keys whose version is at least the highest of `versions`."""
        return self._upsert.newer(connection, keys, versions)

    def backdate(self, connection: Connection, wave: Wave) -> None:
        """Set this wave's entry date, user and version on cases that a later version created."""
        self._upsert.backdate(connection, wave)

    def write_in_turn(self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool) -> Sequence[Turn]:
        """Write the cases one after the other."""
        compared = self._upsert.compare_in_turn(connection, wave, guard_care_plan)
        if compared is None:
            return write_one_by_one(self, connection, wave, guard_care_plan)
        self._record(wave.versions, compared)
        return [one.turn for one in compared]

    def write_past(
        self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool, known: Collection[Fault]
    ) -> Sequence[Compared | Fault] | None:
        """Write the cases one after the other, within the database itself, past those with a known fault."""
        results = self._upsert.write_past(connection, wave, guard_care_plan, known, compare=True)
        self._record(wave.versions, results or ())
        return results

    def dry_outcomes(self, plan: WritePlan, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return the outcomes of a plan that is rolled back: which cases would be created, and which fields changed."""
        first_version = plan.waves[0].defaults.first_version
        return [
            self._dry_outcome(outcome, first_version + place, plan.given[place])
            for place, outcome in enumerate(outcomes)
        ]

    def _record(self, versions: Iterable[int], results: Iterable[Compared | Fault]) -> None:
        for version, one in zip(versions, results, strict=False):  # the results may end sooner
            if isinstance(one, Compared) and one.changes is not None:
                self._changes[version] = self._alike.setdefault(one.changes, one.changes)

    def _dry_outcome(self, outcome: Outcome, version: int, given: Collection[str]) -> Outcome:
        if outcome.kind is Kind.CREATED:
            return WOULD_CREATE
        if outcome.kind is not Kind.UPDATED:
            return outcome
        changes = self._changes.get(version, ())
        return would_update(tuple(name for name in changes if name not in _AUDITED or name in given))


def _read(connection: Connection, keys: Collection[int], statement: Any) -> Rows:
    """Read cases by their keys; those that are not there are left out."""
    rows = connection.execute(statement.where(CARE_CASE.c[KEY].in_(list(keys))))
    return {row[_KEY_PLACE]: tuple(row) for row in rows}


def _changed(before: Sequence[Any], after: Sequence[Any]) -> tuple[str, ...]:
    return tuple(field.name for field, one, other in zip(FIELDS, before, after, strict=True) if one != other)
