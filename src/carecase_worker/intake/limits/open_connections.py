"""The limit of open connections: beyond it, the one that has been idle longest is closed for a new one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from carecase_worker.telemetry import MetricSample

_OPEN = "Connections that are open"
_GAVE_WAY = "Connections closed for newer ones: they served no request of an authenticated caller"
_REFUSED = "Connections refused: all open ones served a request of an authenticated caller"


class Connection(Protocol):
    """The interface of a connection for deciding which one is closed."""

    def serves_known(self) -> bool:
        """Return whether a request of a known caller is waiting for its response."""
        ...

    def give_way(self) -> None:
        """Close at once."""
        ...


@dataclass(slots=True)
class OpenConnections:
    """The connections of a process, at most `most`; the one that has been idle longest comes first.

    Callers without credentials cannot lock others out: their connections are closed first. There is no limit per
    address, since all clients behind a proxy share one.
    """

    most: int
    gave_way: int = 0
    refused: int = 0
    _open: dict[Connection, None] = field(default_factory=dict)

    def enter(self, connection: Connection) -> bool:
        """Add a new connection; return whether there was a place for it."""
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
        """Record activity: a head is complete, or a response is sent."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def leave(self, connection: Connection) -> None:
        """Remove a closed connection, if it was not removed before."""
        self._open.pop(connection, None)

    def __call__(self) -> Iterator[MetricSample]:
        """Yield the metrics."""
        yield MetricSample("carecase_connections", _OPEN, len(self._open), {})
        yield MetricSample("carecase_connections_gave_way", _GAVE_WAY, self.gave_way, {}, counter=True)
        yield MetricSample("carecase_connections_refused", _REFUSED, self.refused, {}, counter=True)
