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
_WORTH_BYTES, _MOST_PIECES = 64 << 10, 8
"""The bytes of an answer that are made at a time, and the pieces, where little is found in each."""
_OTHERS_S = 120.0
"""A client is there for so long after a request: longer than two polls of a job lie apart (`Retry-After`, 60 s)."""
_LOOK_AGAIN_S = 1.0
"""A client that waits is looked at again after so long: the others may have left."""


@dataclass(slots=True)
class ProcessorTime:
    """A bucket of processor time, kept as the moment at which it is full again; moments are seconds of any clock."""

    per_second: float
    burst_s: float
    _full_at: float = 0.0

    def spend(self, seconds: float, now: float) -> None:
        """Count what was used."""
        self._full_at = max(self._full_at, now) + seconds / self.per_second

    def forgive(self, now: float) -> None:
        """Let no more be owed than the burst."""
        self._full_at = min(self._full_at, now + self.burst_s / self.per_second)

    def wait(self, now: float) -> float:
        """Tell for how many seconds nothing more may be used: until what was spent is no more than the burst."""
        return max(0.0, self._full_at - now - self.burst_s / self.per_second)


@dataclass(slots=True)
class _Client:
    """A client's use of the processor, and its waiting for more."""

    name: str
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
        client = self._asking(name)
        if not (client.one_by_one.locked() or self._wait(client)):
            return await self._timed(client, work, threads)
        began = _now()
        async with client.one_by_one:
            while wait_s := self._wait(client):
                await system_async_sleep(timedelta(seconds=min(wait_s, _LOOK_AGAIN_S)))
            client.waited_s += _now() - began
            return await self._timed(client, work, threads)

    def readings(self) -> Iterator[Reading]:
        """The numbers that an operator sees."""
        for client in list(self._clients.values()):  # read in another thread
            whose = {"client": client.name}
            used = "Processor time that threads used for a client's requests"
            yield Reading("carecase_processor_seconds", used, client.used_s, whose, counter=True)
            waited = "Seconds for which a client's requests waited since they had used too much of the processor"
            yield Reading("carecase_processor_wait_seconds", waited, client.waited_s, whose, counter=True)

    def _asking(self, name: str) -> _Client:
        """Note that a client asks for something."""
        if self._last[0] != name:
            self._last_other = self._last
        self._last = name, _now()
        return self._clients.setdefault(name, _Client(name, ProcessorTime(self._share, self._burst_s)))

    def _is_alone(self, client: _Client) -> bool:
        _, asked_s = self._last if self._last[0] != client.name else self._last_other
        return _now() - asked_s >= _OTHERS_S

    def _wait(self, client: _Client) -> float:
        return 0.0 if self._is_alone(client) else client.time.wait(_now())

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
            if self._is_alone(client):
                client.time.forgive(_now())


class Threads:
    """Threads of which no caller has more than its share at a time.

    Acquire the share first, so that who waits for that holds no thread.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self.all = CapacityLimiter(most)
        self._most_each = most_each
        self._shares: WeakValueDictionary[str, CapacityLimiter] = WeakValueDictionary()

    @classmethod
    def of_requests(cls, settings: IntakeSettings) -> "Threads":
        """Make the threads for all that clients' requests need beside the reading of bodies."""
        return cls(_REQUEST_THREADS, settings.request_threads_per_client)

    def share(self, caller: str) -> CapacityLimiter:
        """Give the limiter of one caller, a client or an address; it is kept as long as somebody holds it."""
        return self._shares.setdefault(caller, CapacityLimiter(self._most_each))

    async def run(self, caller: str, work: Callable[[], _T]) -> _T:
        """Have one of them do some work."""
        async with self.share(caller):
            return await run_sync(work, limiter=self.all)


class ClientThreads:
    """Threads for the work of clients, each of which has a share of them and of the processor.

    One that waits has its share first, then is the one of its client that goes on (`Processor`), then has a thread.
    """

    def __init__(self, processor: Processor, threads: Threads) -> None:
        self._processor = processor
        self._threads = threads

    def share(self, client: str) -> CapacityLimiter:
        """Give what bounds how much is done for a client at a time, also of what the event loop does."""
        return self._threads.share(client)

    async def run(self, client: str, work: Callable[[], _T]) -> _T:
        """Have a thread do some work, once the client may go on."""
        async with self._threads.share(client):
            return await self._processor.run(client, work, self._threads.all)

    async def pieces(
        self, client: str, made: Iterator[bytes], first: bytes = b"", is_last: bool = False
    ) -> AsyncIterator[bytes]:
        """Have threads make an answer, some pieces at a time; `first` and `is_last` are what `some_of` gave before."""
        if first:
            yield first
        while not is_last:
            some, is_last = await self.run(client, lambda: some_of(made))
            if some:
                yield some


def some_of(made: Iterator[bytes]) -> tuple[bytes, bool]:
    """Take the next pieces together, as many as are worth a thread's time; tell if they were the last."""
    taken, size = [], 0
    for piece in made:
        taken.append(piece)
        size += len(piece)
        if size >= _WORTH_BYTES or len(taken) >= _MOST_PIECES:
            return b"".join(taken), False
    return b"".join(taken), True


def _now() -> float:
    return asyncio.get_running_loop().time()
