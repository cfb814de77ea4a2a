"""Presence of workers by their heartbeats in Redis, and the offset of each host's clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from carecase_worker.clock import Clock, epoch_ms, from_epoch_ms, milliseconds, monotonic
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.redis.connection import moment_of, redis_errors
from carecase_worker.store.scripts import named

_SEEN_WITHIN = timedelta(seconds=10)
_SLOW_S = 1.0
TOLERATED = timedelta(seconds=3)
"""The largest offset of a clock that is not reported."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers with a heartbeat within ten seconds, and by how much their hosts' clocks are ahead of Redis's."""

    names: Sequence[str]
    ahead: Mapping[str, timedelta]

    @property
    def seen(self) -> int:
        """The number of workers."""
        return len(self.names)

    def by_host(self) -> dict[str, timedelta]:
        """Return the offsets of clocks by host; the largest where workers of one host differ."""
        hosts: dict[str, timedelta] = {}
        for worker, ahead in self.ahead.items():
            host = worker.partition("/")[0]
            hosts[host] = max(hosts.get(host, ahead), ahead, key=abs)
        return hosts


class Presence:
    """Workers that have reported to Redis, and the offset of this host's clock.

    Every method raises StoreUnavailable.
    """

    def __init__(self, client: StoreClient, clock: Clock) -> None:
        self._client = client
        self._redis = client.redis
        self._keys = client.keys
        self._clock = clock
        self._ahead: timedelta | None = None

    def ahead(self) -> timedelta | None:
        """Return by how much this host's clock is ahead of Redis's; None if the reply was too slow to measure it."""
        began = monotonic()
        before = self._clock.now()
        with redis_errors():
            their_time = moment_of(self._redis.time())
        return _ahead(before, their_time, monotonic() - began)

    def seen(self, worker: str) -> timedelta | None:
        """Record a worker's heartbeat; return the offset of this host's clock, as `ahead` does."""
        began = monotonic()
        before = self._clock.now()
        ahead_ms = None if self._ahead is None else milliseconds(self._ahead)
        arguments = named(worker=worker, ahead_ms=ahead_ms)
        their_time = from_epoch_ms(cast(int, self._client.run("seen", [arguments])))
        self._ahead = _ahead(before, their_time, monotonic() - began)
        return self._ahead

    def unseen(self, worker: str) -> None:
        """Remove a worker that has stopped."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.zrem(self._keys.workers, worker)
            pipe.hdel(self._keys.clocks, worker)
            pipe.execute()

    def try_write(self) -> None:
        """Write a key, to check that Redis takes writes.

        A Redis that responds may still be a replica, be out of memory, or have a full disk.
        """
        with redis_errors():
            self._redis.set(self._keys.housekeeping("write"), 1, px=1000)

    def workers(self) -> Workers:
        """Return the workers with a heartbeat within ten seconds."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrange(self._keys.workers, 0, -1, withscores=True)
            pipe.hgetall(self._keys.clocks)
            now, seen, ahead = pipe.execute()
        around = epoch_ms(moment_of(now)), milliseconds(_SEEN_WITHIN)
        names = [name for name, seen_ms in seen if abs(around[0] - seen_ms) <= around[1]]
        offsets = {name.decode(): timedelta(milliseconds=int(ahead[name])) for name in names if name in ahead}
        return Workers(sorted(name.decode() for name in names), offsets)


def _ahead(before: datetime, their_time: datetime, took_s: float) -> timedelta | None:
    """Return by how much a clock is ahead of another one; None if the measurement is too uncertain.

    It read `before`, then requested the other's time, `their_time`; the reply took `took_s`.
    """
    return None if took_s > _SLOW_S else before + timedelta(seconds=took_s / 2) - their_time
