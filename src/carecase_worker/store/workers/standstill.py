"""Standstill: due work that no worker takes, although workers may be running and report that they are healthy.

Another program may consume the notifications, a queue's key may have another type, or a worker may have stopped
listening. Standstill is detected from the records that the operations store anyway.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import cast

from carecase_worker.clock import epoch_ms, from_epoch_ms, from_epoch_us, milliseconds
from carecase_worker.settings.model import JobSettings
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.redis.connection import moment_of, redis_errors

_LOOKED_AT = 100
"""Number of open chunks of a database that are searched for the oldest job: those to notify for first."""


class Standstill:
    """Measures for how long due work has not been taken. Every method raises StoreUnavailable."""

    def __init__(self, client: StoreClient, jobs: JobSettings) -> None:
        self._redis = client.redis
        self._keys = client.keys
        self._jobs = jobs

    def untaken(self, database: str) -> timedelta | None:
        """Return for how long no due work of a database has been taken: zero if workers take it, None if none is due.

        A database with an open circuit has no due work.
        """
        keys = self._keys
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrange(keys.due(database), 0, _LOOKED_AT - 1)
            pipe.zrange(keys.due(database), -1, -1, withscores=True)
            pipe.hget(keys.pace(database), "completed_ms")
            pipe.exists(keys.trouble(database))
            time_reply, members, latest, completed_ms, is_away = pipe.execute()
        if not members or is_away:
            return None
        now = moment_of(time_reply)
        # taking a chunk, or giving it back, makes it due later than notifying for it does
        if cast(float, latest[0][1]) > epoch_ms(now) + milliseconds(self._jobs.renotify_after):
            return timedelta(0)
        accepted = self._accepted({member.rpartition(b":")[0].decode() for member in members})
        if not accepted:
            return None
        return max(timedelta(0), now - max(min(accepted), from_epoch_ms(int(completed_ms or 0))))

    def everywhere(self, databases: Iterable[str]) -> timedelta | None:
        """Return for how long no due work of any database has been taken, if longer than `untaken_after`; else None."""
        due = [age for database in databases if (age := self.untaken(database)) is not None]
        return min(due) if due and min(due) >= self._jobs.untaken_after else None

    def _accepted(self, job_ids: Iterable[str]) -> list[datetime]:
        """Return the times of acceptance of the jobs that still exist."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(self._keys.job(job_id), "accepted_us")
            replies = pipe.execute()
        return [from_epoch_us(int(accepted_us)) for accepted_us in replies if accepted_us is not None]
