"""The upsert of a wave of cases: the interface for dialects.

It returns which cases it wrote, and whether it created them. A case that is not returned has a version at least as new,
or is under another care plan than the guard allows; its row is locked then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from carecase_worker.cases.care_case import ENTRY_DATE, ENTRY_USER, KEY
from carecase_worker.targets.plan import Wave, WaveOfRows
from carecase_worker.targets.tables import ENTRY_VERSION

ON_CREATE_ONLY = frozenset({KEY, ENTRY_DATE, ENTRY_USER, ENTRY_VERSION})
"""The fields that an update leaves unchanged."""


@dataclass(frozen=True, slots=True)
class Written:
    """The keys of the cases that a statement wrote."""

    created: Collection[int]
    updated: Collection[int]


class Stored(NamedTuple):
    """Version and care plan of a stored case."""

    version: int
    care_plan: int


class StoredCase(NamedTuple):
    """A stored case, and the version that created it."""

    stored: Stored
    entry_version: int


class Turn(NamedTuple):
    """A case that was written in its turn: whether it was created.

    If it was left out, `created` is None, and `stored` is what the database had at that time, if anything.
    """

    created: bool | None
    stored: Stored | None = None


class Compared(NamedTuple):
    """A case that was written in its turn, and the fields that this changed, if it was an update."""

    turn: Turn
    changes: tuple[str, ...] | None


class Fault(NamedTuple):
    """A reason to refuse a case: the error's code, the names in it, and a hash of what else tells it from others.

    The names are those that `ConstraintReports.identity` returns. Two cases with the same fault have the same outcome.
    """

    code: str
    names: tuple[str | None, ...]
    others: int


class Newer(NamedTuple):
    """Numbers of stored cases whose version is at least the highest one sent.

    `cases` counts all of them; `created` those that a version above the lowest one sent created: some may need
    backdating.
    """

    cases: int
    created: int


class Upsert(Protocol):
    """The upsert of waves on a connection."""

    def write(self, connection: Connection, wave: Wave, guard_care_plan: bool) -> Written:
        """Write the cases that pass the guards."""
        ...

    def stored(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, StoredCase]:
        """Read the stored cases with these keys; missing ones are left out."""
        ...

    def newer(self, connection: Connection, keys: Sequence[int], versions: Sequence[int]) -> Newer:
        """Count the stored cases with these keys whose version is at least the highest of `versions`."""
        ...

    def backdate(self, connection: Connection, wave: Wave) -> None:
        """Set this wave's entry date, user and version on cases that a later version created."""
        ...

    def write_in_turn(self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool) -> Sequence[Turn]:
        """Write the cases one after the other, as if each were a wave; one key may come often.

        A case that is left out, but was accepted before the one that created it, is backdated in its turn, too.
        """
        ...

    def write_past(
        self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool, known: Collection[Fault]
    ) -> Sequence[Compared | Fault] | None:
        """Write the cases as `write_in_turn` does, but for those that are refused, within the database itself.

        A case with a known fault is passed over. With any other fault it is the last one: those after it are not
        written. Return None, and write nothing, if the dialect has no such way.
        """
        ...


class ComparableUpsert(Upsert, Protocol):
    """An upsert that may tell which fields it changes: that of a dialect."""

    def compare_in_turn(
        self, connection: Connection, wave: WaveOfRows, guard_care_plan: bool
    ) -> Sequence[Compared] | None:
        """Write the cases as `write_in_turn` does; return also which fields each update changed.

        Return None, and write nothing, if the dialect has no faster way than to read each case before and after.
        """
        ...

    def write_past(
        self,
        connection: Connection,
        wave: WaveOfRows,
        guard_care_plan: bool,
        known: Collection[Fault],
        compare: bool = False,
    ) -> Sequence[Compared | Fault] | None:
        """Write the cases as `Upsert.write_past` says; with `compare`, return which fields each update changed."""
        ...


def write_one_by_one(upsert: Upsert, connection: Connection, wave: WaveOfRows, guard_care_plan: bool) -> Sequence[Turn]:
    """Write cases in turn, each by a statement of its own, for a dialect that has no faster way."""
    return [_write_one(upsert, connection, WaveOfRows([entry], wave.defaults), guard_care_plan) for entry in wave.rows]


def _write_one(upsert: Upsert, connection: Connection, wave: WaveOfRows, guard_care_plan: bool) -> Turn:
    written = upsert.write(connection, wave, guard_care_plan)
    if written.created or written.updated:
        return Turn(created=bool(written.created))
    case = upsert.stored(connection, wave.keys).get(wave.keys[0])
    if case is None:
        return Turn(None)
    if case.entry_version > wave.versions[0]:
        upsert.backdate(connection, wave)
    return Turn(None, case.stored)
