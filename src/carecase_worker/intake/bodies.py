"""The bodies that come in at once: how many, what they hold, and the threads that take them apart, with a share of each
for every client."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from carecase_worker.errors import BacklogFull, RateExceeded
from carecase_worker.intake.threads import ClientThreads, Processor, Threads
from carecase_worker.settings.model import IntakeSettings
from carecase_worker.telemetry import Reading

_T = TypeVar("_T")
_LATER = timedelta(seconds=1)
_AROUND_SMALL_BYTES = 64 << 10
"""Of a body, its request and task."""
_AROUND_LARGE_BYTES = 448 << 10
"""Of a large one also what its connection reads ahead: the server's 64 KiB, and a last read of 256."""


@dataclass(slots=True)
class _Share:
    """The large bodies that are open and the bytes that all hold, and how many of each there may be."""

    most_bodies: int
    most_bytes: int
    bodies: int = 0
    bytes: int = 0


class Open:
    """A body that is open: what it holds is counted, and it is taken apart when its client may go on."""

    def __init__(self, bodies: "Bodies", client: str, share: _Share, announced: int) -> None:
        self._bodies = bodies
        self._client = client
        self._share = share
        self._waiting = self._received = self._taken = self._counted = 0
        self._is_large = False
        self._count(announced)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Have a thread do some work on the body, once the client may go on."""
        return await self._bodies.threads.run(self._client, work)

    def waits(self, size: int) -> None:
        """Note how many bytes of the body, as it was sent, have not been taken apart. Raises as `Bodies.open` does."""
        self._waiting = size
        self._count()

    def holds(self, size: int) -> None:
        """Note how many bytes are held of what was taken apart. Raises as `Bodies.open` does."""
        self._taken = size
        self._count()

    def takes(self, received: int) -> None:
        """Note how many bytes of the body, as it was sent, have been taken so far."""
        self._received = received

    def close(self) -> None:
        """Give everything back."""
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
    ("client", "bytes"): "The bodies that this client sends at once hold too much memory. Let some of them end first.",
    ("all", "bodies"): "Too many large bodies are coming in just now. Send the batch again later.",
    ("all", "bytes"): "The bodies that are coming in hold too much memory just now. Send the batch again later.",
}


class Bodies:
    """Opens bodies. What they hold is bounded, and of large ones the number, too: a client may send many small ones."""

    def __init__(self, settings: IntakeSettings, processor: Processor) -> None:
        self._settings = settings
        self._all = _Share(settings.max_bodies, settings.max_open_bytes)
        self._clients: dict[str, _Share] = {}
        self._refused: Counter[tuple[str, str]] = Counter()
        self.threads = ClientThreads(processor, Threads(settings.body_threads, settings.body_threads_per_client))
        self.large_bytes = settings.large_body_bytes

    @contextmanager
    def open(self, client: str, announced: int) -> Iterator[Open]:
        """Have a body open, of so many bytes as far as that is announced.

        Raises RateExceeded if the client has too many or too much open, BacklogFull if all have; so do the calls that
        note what the body holds.
        """
        opened = Open(self, client, self._share(client), announced)
        try:
            yield opened
        finally:
            opened.close()

    def take(self, its: _Share, bodies: int, size: int) -> None:
        """Count bodies and bytes of a client, or count them off. Raises as `open` does, and then counts nothing."""
        for whose, share in (("client", its), ("all", self._all)):
            if share.bodies + bodies > share.most_bodies:
                raise self._refusal(whose, "bodies")
            if share.bytes + size > share.most_bytes:
                raise self._refusal(whose, "bytes")
        for share in (its, self._all):
            share.bodies += bodies
            share.bytes += size

    def readings(self) -> Iterator[Reading]:
        """The numbers that an operator sees: what is open, and what was refused."""
        for client, share in list(self._clients.items()):
            whose = {"client": client}
            yield Reading("carecase_open_bodies", "Large bodies that are open", share.bodies, whose)
            yield Reading("carecase_open_bytes", "Memory that open bodies hold", share.bytes, whose)
        for (holder, bound), count in sorted(self._refused.items()):
            labels = {"bound": bound, "whose": holder}
            yield Reading("carecase_bodies_refused", "Bodies for which there was no room", count, labels, counter=True)

    def _share(self, client: str) -> _Share:
        settings = self._settings
        bounds = settings.max_bodies_per_client, settings.max_open_bytes_per_client
        return self._clients.setdefault(client, _Share(*bounds))

    def _refusal(self, whose: str, what: str) -> RateExceeded | BacklogFull:
        self._refused[whose, what] += 1
        text = _TEXTS[whose, what]
        return RateExceeded(_LATER, text) if whose == "client" else BacklogFull(text)
