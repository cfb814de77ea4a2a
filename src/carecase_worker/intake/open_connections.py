"""The connections that are open at once: so many, and the one that has waited longest gives way to a new one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from carecase_worker.telemetry import Reading

_OPEN = "Connections that are open"
_GAVE_WAY = "Connections that were closed for newer ones: nobody known waited for an answer on them"
_REFUSED = "Connections that were refused: on all that were open somebody known waited for an answer"


class Connection(Protocol):
    """A connection, as far as it matters who gives way."""

    def serves_known(self) -> bool:
        """Tell if it has a request of a caller that is known, and that is not answered yet."""
        ...

    def give_way(self) -> None:
        """Close at once."""
        ...


@dataclass(slots=True)
class OpenConnections:
    """The connections of a process, at most `most`; the one of which nothing came for longest first.

    Without credentials nobody keeps others out: whatever they hold open gives way. An address has no share of its own:
    behind a proxy, all clients have one address.
    """

    most: int
    gave_way: int = 0
    refused: int = 0
    _open: dict[Connection, None] = field(default_factory=dict)

    def enter(self, connection: Connection) -> bool:
        """Take a new one. False if there is no place for it."""
        if len(self._open) >= self.most:
            oldest = next((one for one in self._open if not one.serves_known()), None)
            if oldest is None:
                self.refused += 1
                return False
            self.gave_way += 1
            self.leave(oldest)
            oldest.give_way()
        self._open[connection] = None
        return True

    def heard(self, connection: Connection) -> None:
        """Note that a head came whole, or that an answer is sent."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def leave(self, connection: Connection) -> None:
        """Note that one is closed; it may be gone already."""
        self._open.pop(connection, None)

    def __call__(self) -> Iterator[Reading]:
        """The numbers that an operator sees."""
        yield Reading("carecase_connections", _OPEN, len(self._open), {})
        yield Reading("carecase_connections_gave_way", _GAVE_WAY, self.gave_way, {}, counter=True)
        yield Reading("carecase_connections_refused", _REFUSED, self.refused, {}, counter=True)
