"""INSERT … ON CONFLICT DO UPDATE … RETURNING, for every dialect whose statement SQLAlchemy builds.

A dialect provides its `insert`. This is enough for a new dialect; one with a faster way provides its own upsert, which
differs from this one only in speed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, and_, bindparam, false, func, select, update

from carecase_worker.cases.care_case import CARE_PLAN, ENTRY_DATE, ENTRY_USER, KEY
from carecase_worker.targets.dialects.upsert import (
    ON_CREATE_ONLY,
    Fault,
    Newer,
    Stored,
    StoredCase,
    Turn,
    Written,
    write_one_by_one,
)
from carecase_worker.targets.plan import Wave, WaveOfRows
from carecase_worker.targets.tables import CARE_CASE, ENTRY_VERSION, VERSION

_ENTERED = {KEY: "the_key", ENTRY_DATE: "the_date", ENTRY_USER: "the_user", ENTRY_VERSION: "the_version"}
"""Parameters for the version that created a case, its date and its user, by field name."""

Insert = Callable[[Any], Any]
"""A dialect's `insert`, whose statement has `on_conflict_do_update`."""


def upsert_of_no_case(insert: Insert) -> Executable:
    """Return an upsert of zero cases: it requires table, columns and privileges, and fires no row trigger."""
    columns = list(CARE_CASE.c)
    statement = insert(CARE_CASE).from_select(columns, select(*columns).where(false()))
    values = {column.key: statement.excluded[column.key] for column in columns if column.key != KEY}
    upsert: Executable = statement.on_conflict_do_update(index_elements=[CARE_CASE.c[KEY]], set_=values)
    return upsert


class PortableUpsert:
    """The upsert built by SQLAlchemy, many rows per statement."""

    def __init__(self, insert: Insert) -> None:
        statement = insert(CARE_CASE)
        new, stored = statement.excluded, CARE_CASE.c
        newer: ColumnElement[bool] = stored[VERSION] < new[VERSION]
        same_plan: ColumnElement[bool] = stored[CARE_PLAN] == new[CARE_PLAN]
        values = {column.key: new[column.key] for column in CARE_CASE.c if column.key not in ON_CREATE_ONLY}
        created = (stored[ENTRY_VERSION] == stored[VERSION]).label("created")
        self._guarded, self._free = (
            statement.on_conflict_do_update(index_elements=[stored[KEY]], set_=values, where=where).returning(
                stored[KEY], stored[VERSION], created
            )
            for where in (and_(newer, same_plan), newer)
        )
        self._stored = select(stored[KEY], stored[VERSION], stored[ENTRY_VERSION], stored[CARE_PLAN])
        self._newer = select(func.count(), func.count().filter(stored[ENTRY_VERSION] > bindparam("lowest"))).where(
            stored[VERSION] >= bindparam("highest")
        )
        self._backdate = (
            update(CARE_CASE)
            .where(stored[KEY] == bindparam(_ENTERED[KEY]), stored[ENTRY_VERSION] > bindparam(_ENTERED[ENTRY_VERSION]))
            .values({name: bindparam(parameter) for name, parameter in _ENTERED.items() if name != KEY})
        )

    def write(self, connection: Connection, wave: Wave, guard_care_plan: bool) -> Written:
        """Write the cases that the guards let through."""
        answers = self.answers(connection, wave, guard_care_plan)
        return Written(
            [key for key, _, created in answers if created], [key for key, _, created in answers if not created]
        )

    def answers(self, connection: Connection, wave: Wave, guard_care_plan: bool) -> Sequence[Any]:
        """Write the cases that the guards let through; return the key and version of each, and if it was created."""
        rows = [entry.row for entry in wave.entries()]
        return connection.execute(self._guarded if guard_care_plan else self._free, rows).all()

    def write_in_turn(self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool) -> Sequence[Turn]:
        """Write the cases one after the other, each by a statement of its own."""
        return write_one_by_one(self, connection, wave, guard_care_plan)

    def compare_in_turn(self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool) -> None:
        """Return None: there is no faster way than to read each case before and after."""

    def write_past(
        self,
        connection: Connection,
        wave: WaveOfRows,
        guard_care_plan: bool,
        known: Collection[Fault],
        compare: bool = False,
    ) -> None:
        """Return None: there is no such way."""

    def stored(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, StoredCase]:
        """Read the stored cases with these keys; missing ones are left out."""
        found = connection.execute(self._stored.where(CARE_CASE.c[KEY].in_(keys)))
        return {key: StoredCase(Stored(version, plan), entered) for key, version, entered, plan in found}

    def newer(self, connection: Connection, keys: Sequence[int], versions: Sequence[int]) -> Newer:
        """Count the stored cases with these keys whose version is at least the highest of `versions`."""
        sent = {"lowest": min(versions), "highest": max(versions)}
        return Newer(*connection.execute(self._newer.where(CARE_CASE.c[KEY].in_(keys)), sent).one())

    def backdate(self, connection: Connection, wave: Wave) -> None:
        """Set this wave's entry date, user and version on cases that a later version created."""
        rows = [{parameter: entry.row[name] for name, parameter in _ENTERED.items()} for entry in wave.entries()]
        connection.execute(self._backdate, rows)
