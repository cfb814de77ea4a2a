"""Presence of workers, by when Redis saw them last, and the offset of each host's clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from carecase_worker.clock import Clock, epoch_ms, from_epoch_ms, milliseconds, stopwatch
from carecase_worker.jobs.connection import connect, moment_of, redis_errors
from carecase_worker.jobs.keys import Keys
from carecase_worker.jobs.scripts import script_of
from carecase_worker.settings.model import RedisSettings

_SEEN_WITHIN = timedelta(seconds=10)
_SLOW_S = 1.0
TOLERATED = timedelta(seconds=3)
"""By how much a clock may be off before somebody should be told."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers that were seen within ten seconds, and by how much the clocks of their hosts are ahead of Redis's."""

    names: Sequence[str]
    ahead: Mapping[str, timedelta]

    @property
    def seen(self) -> int:
        """The number of workers."""
        return len(self.names)

    def by_host(self) -> dict[str, timedelta]:
        """The clocks by host; of what several workers of one say, that which is furthest off."""
        hosts: dict[str, timedelta] = {}
        for worker, ahead in self.ahead.items():
            host = worker.partition("/")[0]
            hosts[host] = max(hosts.get(host, ahead), ahead, key=abs)
        return hosts


class Presence:
    """The processes that Redis knows around it. Every method raises StoreUnavailable."""

    def __init__(self, settings: RedisSettings, clock: Clock) -> None:
        self._redis = connect(settings)
        self._keys = Keys(settings.prefix)
        self._script = self._redis.register_script(script_of("seen"))
        self._clock = clock
        self._ahead: timedelta | None = None

    def ahead(self) -> timedelta | None:
        """By how much this host's clock is ahead of Redis's; None if the answer took too long to tell."""
        began = stopwatch()
        before = self._clock.now()
        with redis_errors():
            told = moment_of(self._redis.time())
        return _ahead(before, told, stopwatch() - began)

    def seen(self, worker: str) -> timedelta | None:
        """Note that a worker is alive; by how much this host's clock is ahead, as `ahead` tells."""
        began = stopwatch()
        before = self._clock.now()
        ahead_ms = "" if self._ahead is None else milliseconds(self._ahead)
        with redis_errors():
            told = from_epoch_ms(cast(int, self._script(keys=[self._keys.prefix], args=[worker, ahead_ms])))
        self._ahead = _ahead(before, told, stopwatch() - began)
        return self._ahead

    def unseen(self, worker: str) -> None:
        """Note that a worker has stopped."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.zrem(self._keys.workers, worker)
            pipe.hdel(self._keys.clocks, worker)
            pipe.execute()

    def try_write(self) -> None:
        """Return if Redis takes writes: one that answers may be a replica, full, or without room on its disk."""
        with redis_errors():
            self._redis.set(self._keys.housekeeping("write"), 1, px=1000)

    def workers(self) -> Workers:
        """The workers that are there."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrange(self._keys.workers, 0, -1, withscores=True)
            pipe.hgetall(self._keys.clocks)
            now, seen, ahead = pipe.execute()
        around = epoch_ms(moment_of(now)), milliseconds(_SEEN_WITHIN)
        names = [name for name, seen_ms in seen if abs(around[0] - seen_ms) <= around[1]]
        told = {name.decode(): timedelta(milliseconds=int(ahead[name])) for name in names if name in ahead}
        return Workers(sorted(name.decode() for name in names), told)

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()


def _ahead(before: datetime, told: datetime, took_s: float) -> timedelta | None:
    """By how much a clock that said `before`, and then asked for `took_s`, is ahead of one that answered `told`."""
    return None if took_s > _SLOW_S else before + timedelta(seconds=took_s / 2) - told
