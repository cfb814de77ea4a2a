"""Rate limits: a bucket of tokens for each client, shared by all intakes through Redis."""

from dataclasses import dataclass
from datetime import timedelta

from carecase_worker.clock import monotonic
from carecase_worker.errors import RateExceeded, StoreUnavailable
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.redis.connection import connect_loop, redis_errors
from carecase_worker.store.redis.pipelining import ScriptPipelining
from carecase_worker.store.scripts import named

_TIMEOUT = timedelta(milliseconds=500)
_LEFT_ALONE_S = 1.0
_REFUSED_S = 1.0
"""Maximum time in seconds for which a refusal is remembered: Redis may have lost the bucket meanwhile."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A refusal: the time at which the client has a token again, and the time until which Redis is not asked."""

    free_at: float
    until: float

    @classmethod
    def of(cls, asked_at: float, wait_s: float) -> "_Refusal":
        return cls(asked_at + wait_s, asked_at + min(wait_s, _REFUSED_S))


class RateLimiter:
    """Rate limiter of the clients. It fails open: while Redis is unreachable, every request passes.

    After a refusal, no request of the client can be within the rate until the wait is over. They are refused without
    Redis, for a second at most, so that a client that sends far too many does not delay others.
    """

    def __init__(self, settings: RedisSettings, per_second: float, burst: int) -> None:
        self._each_us = 1_000_000 / per_second if per_second else 0.0
        self._burst = burst
        self._prefix = settings.prefix
        self._redis = ScriptPipelining(connect_loop(settings, _TIMEOUT, attempts=1), "spend")
        self._alone_until = 0.0
        self._refusals: dict[str, _Refusal] = {}

    async def spend(self, client: str) -> None:
        """Count a request of a client. Raises RateExceeded if it has made too many."""
        now = monotonic()
        if not self._each_us or now < self._alone_until:
            return
        if (refusal := self._refusals.get(client)) and now < refusal.until:
            raise RateExceeded(timedelta(seconds=refusal.free_at - now))
        try:
            with redis_errors():
                arguments = named(client=client, us_per_request=self._each_us, burst=self._burst)
                wait_us: int = await self._redis.run([self._prefix], [arguments])
        except StoreUnavailable:
            # the request's own use of Redis reports that; skip the limit for a second, so that not all wait here
            self._alone_until = monotonic() + _LEFT_ALONE_S
            return
        if wait_us:
            self._refusals[client] = _Refusal.of(now, wait_us / 1e6)
            raise RateExceeded(timedelta(microseconds=wait_us))

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.close()
