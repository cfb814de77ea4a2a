"""Throughput of a database: its open work and its rate; and its current failure."""

from dataclasses import dataclass
from datetime import timedelta

_STILL_AT_WORK = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A continuing failure of a database: its reason, and for how long it has been failing chunks."""

    reason: str
    lasting: timedelta


@dataclass(frozen=True, slots=True)
class Throughput:
    """A database's open work in items, and its rate in items a second (0: unknown).

    `quiet` is the time since the last completed chunk.
    """

    open_items: int
    items_per_second: int
    quiet: timedelta = timedelta(0)

    @property
    def now_per_second(self) -> int:
        """The current rate in items a second: the measured one, or 0 if no chunk was completed for ten seconds."""
        return self.items_per_second if self.quiet < _STILL_AT_WORK else 0
