"""Wake-ups of requests that wait for jobs to become final or listen to them, over one connection per process.

`complete` publishes jobs that became final; other changes are published on a second channel, which a process subscribes
to only while it has listeners. Pub/sub is not buffered, so:
- a waiter first registers (`subscribe`), then reads the job, then waits: a job that becomes final in between wakes it;
- after a reconnect every awaited job is read once, and its waiters are woken if it is final;
- after each subscription to a channel, every listener is woken.
A wake-up means "read the job again"; it does not promise that the job is final.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.job import State
from carecase_worker.store.keys import Keys
from carecase_worker.store.listening.followers import Followers
from carecase_worker.store.redis.connection import connect_listener, redis_errors
from carecase_worker.telemetry import MetricSample, logger

_QUIET_S = 5.0
_AGAIN_S = 0.5
_LOOKED_AT_ONCE = 500
_FINAL = frozenset(state.value for state in State if state.final)

_log = logger("waiting")


class JobCompletions:
    """The waiters for jobs to become final, the listeners, and their wake-ups.

    Belongs to the event loop that `listen` runs on.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._keys = Keys(settings.prefix)
        self._awaited: dict[str, set[asyncio.Event]] = {}
        self._channels: Any = None
        self._subscribing = asyncio.Lock()
        self.followers = Followers()
        self._over = False
        self._heard = True

    @contextmanager
    def subscribe(self, job_id: str) -> Iterator[asyncio.Event]:
        """Provide an event that is set when the job should be read again. The waiter may set it, too."""
        event = asyncio.Event()
        if self._over:
            event.set()
        waiters = self._awaited.setdefault(job_id, set())
        waiters.add(event)
        try:
            yield event
        finally:
            waiters.discard(event)
            if not waiters:
                self._awaited.pop(job_id, None)

    def __call__(self) -> Iterator[MetricSample]:
        """Yield the metrics."""
        waiters = sum(map(len, list(self._awaited.values())))  # read in another thread
        yield MetricSample("carecase_long_polls", "Responses that are held until a job is final", waiters, {})

    def end(self) -> None:
        """Wake all current and future waiters: the process stops."""
        self._over = True
        self.followers.end()
        self._wake(list(self._awaited))

    async def listen(self) -> None:
        """Listen until cancelled; reconnect when the connection breaks."""
        while True:
            try:
                await self._listen_once()
            except (StoreUnavailable, OSError, RuntimeError) as error:
                if self._heard:
                    _log.warning("not listening", reason=str(error), error=type(error).__name__)
                self._heard = False
            await asyncio.sleep(_AGAIN_S)

    async def _listen_once(self) -> None:
        connection = connect_listener(self._settings)
        with redis_errors():
            async with connection, connection.pubsub() as channel:
                await channel.subscribe(self._keys.final)
                self._channels = channel
                try:
                    await self._hear(connection, channel)
                finally:
                    self._channels = None
                    async with self._subscribing:  # closed amid a subscription, the channel raises the library's errors
                        pass

    async def _hear(self, connection: Any, channel: Any) -> None:
        asked = True  # the answer to the subscription is awaited
        while True:
            message = cast("dict[str, Any] | None", await channel.get_message(timeout=_QUIET_S))
            if message is None and asked:
                raise StoreUnavailable("the job store does not answer")
            asked = message is None
            if message is None:
                await channel.ping()  # a connection that is dead at the other end is silent, too
            elif message["type"] == "subscribe":
                self._heard = True
                self.followers.miss()
                if message["channel"] == self._keys.final:
                    await self._look(connection)
            elif message["type"] == "message":
                self._take(message["channel"], message["data"])
            await (self.hear_progress() if self.followers else self._ignore_progress())

    def _take(self, channel: str, message: str) -> None:
        """Wake the waiters for the jobs of a message; workers of older versions do not send the client."""
        for line in message.split("\n"):
            job_id, _, client = line.partition("|")
            self.followers.wake(job_id, client, channel == self._keys.final)
            if channel == self._keys.final:
                self._wake([job_id])

    async def hear_progress(self) -> None:
        """Subscribe to progress, unless already subscribed; on failure `listen` reconnects."""
        async with self._subscribing:
            if self._channels is not None and self._keys.progress not in self._channels.channels:
                with suppress(StoreUnavailable), redis_errors():
                    await self._channels.subscribe(self._keys.progress)

    async def _ignore_progress(self) -> None:
        """Unsubscribe from progress once there are no listeners."""
        if self._channels is not None and self._keys.progress in self._channels.channels:
            with suppress(StoreUnavailable), redis_errors():
                await self._channels.unsubscribe(self._keys.progress)

    async def _look(self, connection: Any) -> None:
        """Wake the waiters for jobs that are final or deleted."""
        job_ids = list(self._awaited)
        for start in range(0, len(job_ids), _LOOKED_AT_ONCE):
            some = job_ids[start : start + _LOOKED_AT_ONCE]
            async with connection.pipeline(transaction=False) as pipe:
                for job_id in some:
                    pipe.hget(self._keys.job(job_id), "state")
                states = await pipe.execute()
            self._wake([job_id for job_id, state in zip(some, states, strict=True) if state is None or state in _FINAL])

    def _wake(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            for event in self._awaited.get(job_id, ()):
                event.set()
