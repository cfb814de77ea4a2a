"""Threads for requests: fair shares per client, of threads and, while other clients are active, of processor time."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from carecase_worker.clock import system_async_sleep, thread_seconds
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.telemetry import MetricSample

_T = TypeVar("_T")
_REQUEST_THREADS = 40
_WORTH_BYTES, _MOST_PIECES = 64 << 10, 8
"""Maximum bytes and pieces of a response that are made at a time."""
_OTHERS_S = 120.0
"""Seconds for which a client counts as active after a request: longer than between two polls (`Retry-After`)."""
_LOOK_AGAIN_S = 1.0
"""Seconds after which a waiting client is checked again: the other clients may have become inactive."""


@dataclass(slots=True)
class ProcessorTime:
    """A token bucket of processor time, stored as the time (seconds of any clock) at which it is full again."""

    per_second: float
    burst_s: float
    _full_at: float = 0.0

    def spend(self, seconds: float, now: float) -> None:
        """Subtract used seconds from the bucket."""
        self._full_at = max(self._full_at, now) + seconds / self.per_second

    def forgive(self, now: float) -> None:
        """Limit the debt to the burst."""
        self._full_at = min(self._full_at, now + self.burst_s / self.per_second)

    def wait(self, now: float) -> float:
        """Return the seconds to wait until the time spent is within the burst; 0 if it is."""
        return max(0.0, self._full_at - now - self.burst_s / self.per_second)


@dataclass(slots=True)
class _Client:
    """A client's processor time, and its time spent waiting for it."""

    name: str
    time: ProcessorTime
    used_s: float = 0.0
    waited_s: float = 0.0
    one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)


class Processor:
    """The processor time of each client; a client over its share waits while others are active."""

    def __init__(self, settings: IntakeSettings, seconds: Callable[[], float] = thread_seconds) -> None:
        self._share = settings.processor_share_per_client
        self._burst_s = settings.processor_burst.total_seconds()
        self._seconds = seconds
        self._clients: dict[str, _Client] = {}
        self._last, self._last_other = ("", -_OTHERS_S), ("", -_OTHERS_S)
        self._charged: deque[tuple[str, float]] = deque()

    async def run(self, name: str, work: Callable[[], _T], threads: CapacityLimiter) -> _T:
        """Run work for a client in a thread.

        Work of a client over its share runs sequentially, each piece after a wait.
        """
        client = self._asking(name)
        if not (client.one_by_one.locked() or self._wait(client)):
            return await self._timed(client, work, threads)
        began = _now()
        async with client.one_by_one:
            while wait_s := self._wait(client):
                await system_async_sleep(timedelta(seconds=min(wait_s, _LOOK_AGAIN_S)))
            client.waited_s += _now() - began
            return await self._timed(client, work, threads)

    def charge(self, name: str, seconds: float) -> None:
        """Charge a client for processor time in seconds that another thread used for it; callable from any thread."""
        self._charged.append((name, seconds))

    def samples(self) -> Iterator[MetricSample]:
        """Yield the metrics."""
        for client in list(self._clients.values()):  # read in another thread
            whose = {"client": client.name}
            used = "Processor time that threads used for a client's requests"
            yield MetricSample("carecase_processor_seconds", used, client.used_s, whose, counter=True)
            waited = "Seconds for which a client's requests were delayed because they had used too much processor time"
            yield MetricSample("carecase_processor_wait_seconds", waited, client.waited_s, whose, counter=True)

    def _asking(self, name: str) -> _Client:
        """Mark a client as active; return its record."""
        if self._last[0] != name:
            self._last_other = self._last
        self._last = name, _now()
        return self._client(name)

    def _client(self, name: str) -> _Client:
        return self._clients.setdefault(name, _Client(name, ProcessorTime(self._share, self._burst_s)))

    def _is_alone(self, client: _Client) -> bool:
        _, asked_s = self._last if self._last[0] != client.name else self._last_other
        return _now() - asked_s >= _OTHERS_S

    def _wait(self, client: _Client) -> float:
        self._take_charges()
        return 0.0 if self._is_alone(client) else client.time.wait(_now())

    def _take_charges(self) -> None:
        while self._charged:
            name, seconds = self._charged.popleft()
            self._spend(self._client(name), seconds)

    async def _timed(self, client: _Client, work: Callable[[], _T], threads: CapacityLimiter) -> _T:
        used_s = 0.0

        def timed() -> _T:
            nonlocal used_s
            began = self._seconds()
            try:
                return work()
            finally:
                used_s = self._seconds() - began

        try:
            return await run_sync(timed, limiter=threads)
        finally:
            self._spend(client, used_s)

    def _spend(self, client: _Client, seconds: float) -> None:
        client.used_s += seconds
        client.time.spend(seconds, _now())
        if self._is_alone(client):
            client.time.forgive(_now())


class Threads:
    """A pool of threads with a limited share per caller.

    The share is acquired first, so that a caller that waits for it occupies no thread.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self.all = CapacityLimiter(most)
        self._most_each = most_each
        self._shares: WeakValueDictionary[str, CapacityLimiter] = WeakValueDictionary()

    @classmethod
    def of_requests(cls, settings: IntakeSettings) -> "Threads":
        """Make the threads for clients' requests, except for the splitting of bodies."""
        return cls(_REQUEST_THREADS, settings.request_threads_per_client)

    def share(self, caller: str) -> CapacityLimiter:
        """Return the limiter of one caller, a client or an address; it exists while it is in use."""
        return self._shares.setdefault(caller, CapacityLimiter(self._most_each))

    async def run(self, caller: str, work: Callable[[], _T]) -> _T:
        """Run work in a thread, within the caller's share."""
        async with self.share(caller):
            return await run_sync(work, limiter=self.all)


class ClientThreads:
    """Threads for clients, with fair shares of threads and of processor time.

    Work waits first for the client's share, then for the processor (`Processor`), then for a thread.
    """

    def __init__(self, processor: Processor, threads: Threads) -> None:
        self._processor = processor
        self._threads = threads

    def share(self, client: str) -> CapacityLimiter:
        """Return the limiter of a client's concurrent work, which work on the event loop uses, too."""
        return self._threads.share(client)

    async def run(self, client: str, work: Callable[[], _T]) -> _T:
        """Run work in a thread, once the client's shares allow it."""
        async with self._threads.share(client):
            return await self._processor.run(client, work, self._threads.all)

    async def pieces(
        self, client: str, made: Iterator[bytes], first: bytes = b"", is_last: bool = False
    ) -> AsyncIterator[bytes]:
        """Make a response in threads, some pieces at a time; `first` and `is_last` come from an earlier `some_of`."""
        if first:
            yield first
        while not is_last:
            some, is_last = await self.run(client, lambda: some_of(made))
            if some:
                yield some


def some_of(made: Iterator[bytes]) -> tuple[bytes, bool]:
    """Join the next pieces, enough for one run of a thread; also return whether they were the last."""
    taken, size = [], 0
    for piece in made:
        taken.append(piece)
        size += len(piece)
        if size >= _WORTH_BYTES or len(taken) >= _MOST_PIECES:
            return b"".join(taken), False
    return b"".join(taken), True


def _now() -> float:
    return asyncio.get_running_loop().time()
