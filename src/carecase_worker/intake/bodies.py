"""The bodies that come in at once: how many, and the threads that take them apart, with a share for each client."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from carecase_worker.errors import BacklogFull, RateExceeded
from carecase_worker.settings.model import IntakeSettings

_T = TypeVar("_T")
_LATER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a body; its client's bodies share some of the threads that all bodies have."""

    share: CapacityLimiter
    threads: CapacityLimiter

    async def run(self, work: Callable[[bytes], _T], piece: bytes) -> _T:
        """Have a thread do some work on a piece of the body, once it is the client's turn."""
        async with self.share:
            return await run_sync(work, piece, limiter=self.threads)


@dataclass(slots=True)
class _Client:
    """The bodies of a client that are open, and its share of the threads."""

    share: CapacityLimiter
    open: int = 0


@dataclass(slots=True)
class Bodies:
    """Gives places to bodies. What a body holds is bounded, and so what all of them hold together."""

    settings: IntakeSettings
    open: int = 0
    _clients: dict[str, _Client] = field(default_factory=dict)
    _threads: CapacityLimiter = field(init=False)

    def __post_init__(self) -> None:
        self._threads = CapacityLimiter(self.settings.body_threads)

    @contextmanager
    def place(self, client: str) -> Iterator[Place]:
        """A place until the body is there. Raises RateExceeded if the client has too many, BacklogFull if all have."""
        its = self._clients.setdefault(client, _Client(CapacityLimiter(self.settings.body_threads_per_client)))
        if its.open >= self.settings.max_bodies_per_client:
            raise RateExceeded(_LATER, "This client sends too many bodies at once. Let some of them end first.")
        if self.open >= self.settings.max_bodies:
            raise BacklogFull("Too many bodies are coming in just now. Send the batch again later.")
        self.open += 1
        its.open += 1
        try:
            yield Place(its.share, self._threads)
        finally:
            self.open -= 1
            its.open -= 1
