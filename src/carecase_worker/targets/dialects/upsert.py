"""The upsert of a wave of cases: the interface for dialects.

It returns which cases it wrote, and whether it created them. A case that is not returned has a version at least as new,
or is under another care plan than the guard allows; its row is locked then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from carecase_worker.cases.care_case import ENTRY_DATE, ENTRY_USER, KEY
from carecase_worker.targets.plan import Wave
from carecase_worker.targets.tables import ENTRY_VERSION

ON_CREATE_ONLY = frozenset({KEY, ENTRY_DATE, ENTRY_USER, ENTRY_VERSION})
"""The fields that an update leaves unchanged."""


@dataclass(frozen=True, slots=True)
class Written:
    """The keys of the cases that a statement wrote."""

    created: Collection[int]
    updated: Collection[int]


class Held(NamedTuple):
    """Version, creating version and care plan of a stored case."""

    version: int
    entry_version: int
    care_plan: int


class Newer(NamedTuple):
    """Counts of the cases with a newer version than any of those sent: all, and those that such a one created."""

    cases: int
    created: int


class Upsert(Protocol):
    """The upsert of waves on a connection."""

    def write(self, connection: Connection, wave: Wave, guard_care_plan: bool) -> Written:
        """Write the cases that pass the guards."""
        ...

    def held(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, Held]:
        """Read the stored cases with these keys; missing ones are left out."""
        ...

    def newer(self, connection: Connection, keys: Sequence[int], versions: Sequence[int]) -> Newer:
        """Count the cases of these keys that hold a version as new as all of these, or newer."""
        ...

    def backdate(self, connection: Connection, wave: Wave) -> None:
        """Set this wave's entry date, user and version on cases that a later version created."""
        ...
