"""Rate limits: a bucket of tokens for each client, shared by all intakes through Redis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from carecase_worker.clock import monotonic
from carecase_worker.errors import RateExceeded, StoreUnavailable
from carecase_worker.grouping import Grouping
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.local_bucket import LocalBucket
from carecase_worker.store.redis.connection import connect_loop, redis_errors
from carecase_worker.store.redis.pipelining import ScriptPipelining
from carecase_worker.store.scripts import named

_TIMEOUT = timedelta(milliseconds=500)
_LEFT_ALONE_S = 1.0
_MOST = 64
"""Maximum number of requests that are counted by one call."""


@dataclass(frozen=True, slots=True)
class _Client:
    """A client's tokens in this process, and its requests that wait for one."""

    bucket: LocalBucket
    waiting: Grouping[None, None]


class RateLimiter:
    """Rate limiter of the clients. It fails open: while Redis is unreachable, every request passes.

    Concurrent requests of a client are counted by one call. A busy client's tokens are prefetched: a call takes some
    more than needed, which the next requests use without a call; the next call gives back those that were not used in
    time. After a refusal, no request of the client can be within the rate until the wait is over. They are refused
    without Redis, for a second at most, so that a client that sends far too many does not delay others.
    """

    def __init__(self, settings: RedisSettings, per_second: float, burst: int) -> None:
        # whole, so that a bucket of `burst` tokens holds exactly as many: fractions are lost where times are stored
        self._each_us = math.ceil(1_000_000 / per_second) if per_second else 0
        self._burst = burst
        self._prefix = settings.prefix
        self._redis = ScriptPipelining(connect_loop(settings, _TIMEOUT, attempts=1), "spend")
        self._alone_until = 0.0
        self._clients: dict[str, _Client] = {}

    async def spend(self, client: str) -> None:
        """Count a request of a client. Raises RateExceeded if it has made too many."""
        now = monotonic()
        if not self._each_us or now < self._alone_until:
            return
        if client not in self._clients:
            bucket = LocalBucket()
            self._clients[client] = _Client(bucket, Grouping(partial(self._spend, client, bucket), _MOST))
        its = self._clients[client]
        if its.bucket.use(1, now):
            return
        if wait_s := its.bucket.wait_s(now):
            raise RateExceeded(timedelta(seconds=wait_s))
        await its.waiting.one(None)

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.close()

    async def _spend(self, client: str, bucket: LocalBucket, requests: Sequence[None]) -> list[BaseException | None]:
        """Count concurrent requests of a client, by one call; return None for each, or the error to raise."""
        now = monotonic()
        passed = bucket.use(len(requests), now)
        left = len(requests) - passed
        if not left or now < self._alone_until:
            return [None] * len(requests)
        wait_s = bucket.wait_s(now)
        if not wait_s:
            try:
                tokens, wait_us = await self._take(
                    client, left, bucket.ahead(now), bucket.unused_us(self._each_us, now)
                )
            except StoreUnavailable:
                # the request's own use of Redis reports that; skip the limit for a second, so that not all wait here
                self._alone_until = monotonic() + _LEFT_ALONE_S
                return [None] * len(requests)
            used = min(left, tokens)  # whatever their age: these requests have waited for them
            bucket.take(tokens, now, used)
            passed, left, wait_s = passed + used, left - used, wait_us / 1e6
            if left:
                bucket.refuse(wait_s, monotonic())
        return [*([None] * passed), *(RateExceeded(timedelta(seconds=wait_s)) for _ in range(left))]

    async def _take(self, client: str, needed: int, ahead: int, unused_us: int) -> tuple[int, int]:
        """Take tokens from the bucket, which is fuller by `unused_us` first.

        Return their number, and the microseconds until the bucket has another one.
        """
        arguments = named(
            client=client,
            us_per_request=self._each_us,
            burst=self._burst,
            needed=needed,
            ahead=ahead,
            unused_us=unused_us,
        )
        with redis_errors():
            tokens, wait_us = await self._redis.run([self._prefix], [arguments])
        return tokens, wait_us
