"""Limits of concurrent bodies: their number, memory and threads, in total and per client."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from carecase_worker.errors import BacklogFull, RateExceeded
from carecase_worker.intake.limits.threads import ClientThreads, Processor, Threads
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.telemetry import MetricSample

_T = TypeVar("_T")
_LATER = timedelta(seconds=1)
_AROUND_SMALL_BYTES = 64 << 10
"""Memory in bytes of a body's request and task."""
_AROUND_LARGE_BYTES = 448 << 10
"""The same for a large body, with its connection's read-ahead buffer: 64 KiB, and a last read of 256."""


@dataclass(slots=True)
class _Share:
    """The number of large open bodies and the memory of all open bodies in bytes, each with its limit."""

    most_bodies: int
    most_bytes: int
    bodies: int = 0
    bytes: int = 0


class Open:
    """An open body: its memory is counted, and it is split when a thread of its client is free."""

    def __init__(self, bodies: "Bodies", client: str, share: _Share, announced: int) -> None:
        self._bodies = bodies
        self._client = client
        self._share = share
        self._waiting = self._received = self._taken = self._counted = 0
        self._is_large = False
        self._count(announced)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run work on the body in a thread, once the client's share allows it."""
        return await self._bodies.threads.run(self._client, work)

    def waits(self, size: int) -> None:
        """Set the number of bytes of the body, as sent, that are not split yet. Raises as `Bodies.open` does."""
        self._waiting = size
        self._count()

    def holds(self, size: int) -> None:
        """Set the number of bytes of split items in memory. Raises as `Bodies.open` does."""
        self._taken = size
        self._count()

    def takes(self, received: int) -> None:
        """Set the number of bytes of the body, as sent, that were processed so far."""
        self._received = received

    def close(self) -> None:
        """Remove the body from the counts."""
        self._bodies.take(self._share, -int(self._is_large), -self._counted)

    def _count(self, announced: int = 0) -> None:
        sent = max(self._waiting, self._received, announced)
        is_large = self._is_large or sent > self._bodies.large_bytes
        more = self._waiting + self._taken + (_AROUND_LARGE_BYTES if is_large else _AROUND_SMALL_BYTES) - self._counted
        self._bodies.take(self._share, is_large - self._is_large, more)
        self._counted += more
        self._is_large = is_large


_TEXTS = {
    ("client", "bodies"): "This client sends too many large bodies at once. Let some of them end first.",
    ("client", "bytes"): "The bodies that this client sends at once take too much memory. Let some of them end first.",
    ("all", "bodies"): "Too many large bodies are being received at the moment. Send the batch again later.",
    ("all", "bytes"): "The bodies being received take too much memory at the moment. Send the batch again later.",
}


class Bodies:
    """The open bodies. Their total memory and the number of large ones are limited."""

    def __init__(self, settings: IntakeSettings, processor: Processor) -> None:
        self._settings = settings
        self._all = _Share(settings.max_bodies, settings.max_open_bytes)
        self._clients: dict[str, _Share] = {}
        self._refused: Counter[tuple[str, str]] = Counter()
        self.threads = ClientThreads(processor, Threads(settings.body_threads, settings.body_threads_per_client))
        self.large_bytes = settings.large_body_bytes

    @contextmanager
    def open(self, client: str, announced: int) -> Iterator[Open]:
        """Open a body whose Content-Length is `announced`, 0 if unknown.

        Raises RateExceeded if the client has too many or too large bodies open, BacklogFull if all clients together
        have; so do the calls that set the sizes of the body.
        """
        opened = Open(self, client, self._share(client), announced)
        try:
            yield opened
        finally:
            opened.close()

    def take(self, its: _Share, bodies: int, size: int) -> None:
        """Add to the counts of bodies and bytes of a client; negative numbers subtract. Raises as `open` does."""
        for whose, share in (("client", its), ("all", self._all)):
            if share.bodies + bodies > share.most_bodies:
                raise self._refusal(whose, "bodies")
            if share.bytes + size > share.most_bytes:
                raise self._refusal(whose, "bytes")
        for share in (its, self._all):
            share.bodies += bodies
            share.bytes += size

    def samples(self) -> Iterator[MetricSample]:
        """Yield the metrics: open bodies, and refusals."""
        for client, share in list(self._clients.items()):
            whose = {"client": client}
            yield MetricSample("carecase_open_bodies", "Large bodies that are open", share.bodies, whose)
            yield MetricSample("carecase_open_bytes", "Memory used by open bodies, in bytes", share.bytes, whose)
        for (holder, bound), count in sorted(self._refused.items()):
            labels = {"bound": bound, "whose": holder}
            yield MetricSample(
                "carecase_bodies_refused", "Bodies refused because a limit was reached", count, labels, counter=True
            )

    def _share(self, client: str) -> _Share:
        settings = self._settings
        bounds = settings.max_bodies_per_client, settings.max_open_bytes_per_client
        return self._clients.setdefault(client, _Share(*bounds))

    def _refusal(self, whose: str, what: str) -> RateExceeded | BacklogFull:
        self._refused[whose, what] += 1
        text = _TEXTS[whose, what]
        return RateExceeded(_LATER, text) if whose == "client" else BacklogFull(text)
