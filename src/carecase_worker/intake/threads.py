"""Threads that work for requests: a client has a share of them, and of the processor while others ask."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from carecase_worker.clock import system_async_sleep, thread_seconds
from carecase_worker.settings.model import IntakeSettings
from carecase_worker.telemetry import Reading

_T = TypeVar("_T")
_REQUEST_THREADS = 40
_WORTH_BYTES = 64 << 10
_OTHERS_S = 60.0
"""How long a client counts as there after a request: longer than any wait between two polls of a job."""


@dataclass(slots=True)
class ProcessorTime:
    """A bucket of processor time, kept as the moment at which it is full again; moments are seconds of any clock."""

    per_second: float
    burst_s: float
    _full_at: float = 0.0

    def spend(self, seconds: float, now: float) -> None:
        """Count what was used."""
        self._full_at = max(self._full_at, now) + seconds / self.per_second

    def wait(self, now: float) -> float:
        """Tell for how many seconds nothing more may be used: until what was spent is no more than the burst."""
        return max(0.0, self._full_at - now - self.burst_s / self.per_second)


@dataclass(slots=True)
class _Client:
    """What a client has used of the processor, and how long it has waited for more."""

    time: ProcessorTime
    used_s: float = 0.0
    waited_s: float = 0.0
    one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)


class Processor:
    """The processor time of each client; who has used too much of it waits, while there are others to wait for."""

    def __init__(self, settings: IntakeSettings, seconds: Callable[[], float] = thread_seconds) -> None:
        self._share = settings.processor_share_per_client
        self._burst_s = settings.processor_burst.total_seconds()
        self._seconds = seconds
        self._clients: dict[str, _Client] = {}
        self._last, self._last_other = ("", -_OTHERS_S), ("", -_OTHERS_S)

    async def run(self, name: str, work: Callable[[], _T], threads: CapacityLimiter) -> _T:
        """Have a thread do some work for a client.

        One that has used too much has one piece of work done after the other, each once it has the time for it.
        """
        client = self._clients.setdefault(name, _Client(ProcessorTime(self._share, self._burst_s)))
        if not (client.one_by_one.locked() or self._wait(name, client)):
            return await self._timed(client, work, threads)
        async with client.one_by_one:
            if wait_s := self._wait(name, client):
                client.waited_s += wait_s
                await system_async_sleep(timedelta(seconds=wait_s))
            return await self._timed(client, work, threads)

    def readings(self) -> Iterator[Reading]:
        """The numbers that an operator sees."""
        for name, client in list(self._clients.items()):  # read in another thread
            whose = {"client": name}
            used = "Processor time that threads used for a client's requests"
            yield Reading("carecase_processor_seconds", used, client.used_s, whose, counter=True)
            waited = "Seconds for which a client's requests waited since they had used too much of the processor"
            yield Reading("carecase_processor_wait_seconds", waited, client.waited_s, whose, counter=True)

    def _wait(self, name: str, client: _Client) -> float:
        now = _now()
        if self._last[0] != name:
            self._last_other = self._last
        self._last = name, now
        is_alone = now - self._last_other[1] >= _OTHERS_S
        return 0.0 if is_alone else client.time.wait(now)

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
            client.used_s += used_s
            client.time.spend(used_s, _now())


class Threads:
    """So many threads, of which so many work for one of those who ask."""

    def __init__(self, most: int, most_each: int) -> None:
        self.all = CapacityLimiter(most)
        self._most_each = most_each
        self._shares: WeakValueDictionary[str, CapacityLimiter] = WeakValueDictionary()

    @classmethod
    def of_requests(cls, settings: IntakeSettings) -> "Threads":
        """Those for the requests of all clients, beside those for bodies."""
        return cls(_REQUEST_THREADS, settings.request_threads_per_client)

    def share(self, whose: str) -> CapacityLimiter:
        """Enter it before any of the threads."""
        return self._shares.setdefault(whose, CapacityLimiter(self._most_each))

    async def run(self, whose: str, work: Callable[[], _T]) -> _T:
        """Have one of them do some work."""
        async with self.share(whose):
            return await run_sync(work, limiter=self.all)


class ClientThreads:
    """Threads for the work of clients, each of which has a share of them, and of the processor."""

    def __init__(self, processor: Processor, threads: Threads) -> None:
        self._processor = processor
        self._threads = threads

    async def run(self, client: str, work: Callable[[], _T]) -> _T:
        """Have a thread do some work, once it is the client's turn."""
        async with self._threads.share(client):
            return await self._processor.run(client, work, self._threads.all)

    async def pieces(self, client: str, made: Iterator[bytes], first: bytes = b"") -> AsyncIterator[bytes]:
        """What threads make, some of it at a turn; `first` is what was made before, by `some_of`."""
        some = first or await self.run(client, lambda: some_of(made))
        while some:
            yield some
            some = await self.run(client, lambda: some_of(made)) if len(some) >= _WORTH_BYTES else b""


def some_of(made: Iterator[bytes]) -> bytes:
    """The next pieces together: as many as are worth a turn, or all that are left."""
    taken, size = [], 0
    for piece in made:
        taken.append(piece)
        size += len(piece)
        if size >= _WORTH_BYTES:
            break
    return b"".join(taken)


def _now() -> float:
    return asyncio.get_running_loop().time()
