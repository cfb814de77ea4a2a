"""Scenes of a job store and of whoever listens to it, in an event loop of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import redis
from tests.services import Services
from tests.stores import Stores

from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.listening.completions import JobCompletions

_prefixes = count()


@dataclass
class Listening:
    """A job store, whoever waits for its jobs, and a connection by which Redis says who listens."""

    store: Stores
    finals: JobCompletions
    redis: redis.Redis

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[None]:
        """Listen, and go on once Redis knows of it."""
        task = asyncio.create_task(self.finals.listen())
        try:
            await self.completions_heard()
            yield
        finally:
            task.cancel()

    async def completions_heard(self, by: int = 1) -> None:
        """Wait until so many listen for jobs that become final."""
        await self._heard_by(self.store.keys.final, by)

    async def progress_heard_by(self, listeners: int) -> None:
        """Wait until so many listen for the progress of jobs."""
        await self._heard_by(self.store.keys.progress, listeners)

    def break_connections(self) -> None:
        """Break the connections of all who listen."""
        self.redis.client_kill_filter(_type="pubsub")

    async def _heard_by(self, channel: str, listeners: int) -> None:
        while self.redis.pubsub_numsub(channel)[0][1] != listeners:
            await asyncio.sleep(0.01)  # Redis sends nothing when somebody subscribes


Scene = Callable[[Listening], Coroutine[Any, Any, None]]
Play = Callable[..., None]


def player(servers: Services, raw_redis: redis.Redis) -> Play:
    """Return a function that runs a scene, with a job store of its own."""

    def play(scene: Scene, redis_url: str = servers.redis_url) -> None:
        prefix = f"listening{next(_prefixes)}:"
        finals = JobCompletions(RedisSettings.model_validate({"url": redis_url, "prefix": prefix}))
        asyncio.run(scene(Listening(servers.store(prefix), finals, raw_redis)))

    return play
