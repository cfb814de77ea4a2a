"""Throughput of a database: its open work and its rate, and a failure that lasts."""

from dataclasses import dataclass
from datetime import timedelta

_STILL_AT_WORK = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failure of a database that lasts: its reason, and for how long it has been failing chunks."""

    reason: str
    lasting: timedelta


@dataclass(frozen=True, slots=True)
class Throughput:
    """A database's open work in items, and its pace in items a second (0: not known).

    `quiet` is how long ago a chunk was completed last.
    """

    open_items: int
    items_per_second: int
    quiet: timedelta = timedelta(0)

    @property
    def now_per_second(self) -> int:
        """Items a second at present: the rate measured, and 0 once nothing has been completed for ten seconds."""
        return self.items_per_second if self.quiet < _STILL_AT_WORK else 0
