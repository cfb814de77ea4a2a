"""Rate limits: a bucket of tokens for each client, shared by all intakes through Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from carecase_worker.clock import monotonic
from carecase_worker.errors import RateExceeded, StoreUnavailable
from carecase_worker.grouping import Grouping
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.redis.connection import connect_loop, redis_errors
from carecase_worker.store.redis.pipelining import ScriptPipelining
from carecase_worker.store.scripts import named

_TIMEOUT = timedelta(milliseconds=500)
_LEFT_ALONE_S = 1.0
_KEPT_S = 1.0
"""Maximum time in seconds for which tokens or a refusal are kept: Redis may have lost the bucket meanwhile."""
_BUSY_S = 0.02
"""A client whose last tokens were used up within this time prefetches some."""
_MOST_AHEAD = 64
_MOST = 64
"""Maximum number of requests that are counted by one call."""


@dataclass(slots=True)
class _Share:
    """The part of a client's bucket that this process knows: prefetched tokens, or the time of the next token."""

    tokens: int = 0
    kept_until: float = 0.0
    free_at: float = 0.0
    _asked_at: float = float("-inf")
    _granted: int = 0

    def use(self, count: int, now: float) -> int:
        """Use up to `count` prefetched tokens; return their number."""
        used = min(count, self.tokens) if now < self.kept_until else 0
        self.tokens -= used
        return used

    def wait_s(self, now: float) -> float:
        """Return the seconds until the client has a token again; 0 if that is not known."""
        return self.free_at - now if now < min(self.free_at, self.kept_until) else 0.0

    def ahead(self, now: float) -> int:
        """Return the number of tokens to prefetch beyond those that are needed now."""
        return min(2 * self._granted, _MOST_AHEAD) if now - self._asked_at < _BUSY_S else 0

    def granted(self, tokens: int, asked_at: float) -> None:
        """Keep the tokens that Redis has granted."""
        self.tokens = self._granted = tokens
        self._asked_at, self.kept_until, self.free_at = asked_at, asked_at + _KEPT_S, 0.0

    def refused(self, wait_s: float, asked_at: float) -> None:
        """Keep the time of the next token."""
        self.tokens, self.free_at, self.kept_until = 0, asked_at + wait_s, asked_at + _KEPT_S


class RateLimiter:
    """Rate limiter of the clients. It fails open: while Redis is unreachable, every request passes.

    Concurrent requests of a client are counted by one call. A busy client's tokens are prefetched: a call takes some
    more than needed, and the next requests use them without one. After a refusal, no request of the client can be
    within the rate until the wait is over. They are refused without Redis, for a second at most, so that a client that
    sends far too many does not delay others.
    """

    def __init__(self, settings: RedisSettings, per_second: float, burst: int) -> None:
        # whole, so that a bucket of `burst` tokens holds exactly as many: fractions are lost where times are stored
        self._each_us = max(1, round(1_000_000 / per_second)) if per_second else 0
        self._burst = burst
        self._prefix = settings.prefix
        self._redis = ScriptPipelining(connect_loop(settings, _TIMEOUT, attempts=1), "spend")
        self._alone_until = 0.0
        self._shares: dict[str, _Share] = {}
        self._waiting: dict[str, Grouping[None, None]] = {}

    async def spend(self, client: str) -> None:
        """Count a request of a client. Raises RateExceeded if it has made too many."""
        now = monotonic()
        if not self._each_us or now < self._alone_until:
            return
        share = self._shares.setdefault(client, _Share())
        if share.use(1, now):
            return
        if wait_s := share.wait_s(now):
            raise RateExceeded(timedelta(seconds=wait_s))
        if client not in self._waiting:
            self._waiting[client] = Grouping(partial(self._spend, client, share), _MOST)
        await self._waiting[client].one(None)

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.close()

    async def _spend(self, client: str, share: _Share, requests: Sequence[None]) -> list[BaseException | None]:
        """Count concurrent requests of a client; return None for each, or the error to raise."""
        left = len(requests)
        while left := left - share.use(left, monotonic()):
            asked_at = monotonic()
            if asked_at < self._alone_until:
                break
            if wait_s := share.wait_s(asked_at):
                passed = [None] * (len(requests) - left)
                return [*passed, *(RateExceeded(timedelta(seconds=wait_s)) for _ in range(left))]
            try:
                tokens = await self._ask(client, left, share.ahead(asked_at))
            except StoreUnavailable:
                # the request's own use of Redis reports that; skip the limit for a second, so that not all wait here
                self._alone_until = monotonic() + _LEFT_ALONE_S
                break
            if tokens > 0:
                share.granted(tokens, asked_at)
            else:
                share.refused(-tokens / 1e6, asked_at)
        return [None] * len(requests)

    async def _ask(self, client: str, needed: int, ahead: int) -> int:
        """Take tokens from the bucket; return their number or, if it is empty, minus the wait in us."""
        arguments = named(client=client, us_per_request=self._each_us, burst=self._burst, needed=needed, ahead=ahead)
        with redis_errors():
            tokens: int = await self._redis.run([self._prefix], [arguments])
        return tokens
