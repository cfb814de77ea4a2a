"""Standstill: work that is due and that no worker takes, although workers may be there and report that they are well.

Another program may take the notifications, something else may stand in the place of a queue, or a worker may have
stopped listening. Standstill is detected from the records that the operations keep anyway.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import cast

from carecase_worker.clock import epoch_ms, from_epoch_ms, from_epoch_us, milliseconds
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.keys import Keys
from carecase_worker.store.redis.connection import connect, moment_of, redis_errors

_LOOKED_AT = 100
"""Number of open chunks of a database among which the oldest job is looked for: those to notify for first."""


class Standstill:
    """The time for which due work has not been taken. Every method raises StoreUnavailable."""

    def __init__(self, settings: RedisSettings, jobs: JobSettings) -> None:
        self._redis = connect(settings)
        self._keys = Keys(settings.prefix)
        self._jobs = jobs

    def untaken(self, database: str) -> timedelta | None:
        """Return for how long no due work of a database has been taken; zero if some is, None if none is due.

        A database that is away has no due work: it is left alone on purpose.
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
        """Return for how long no due work of any database has been taken, once that is too long; else None."""
        due = [age for database in databases if (age := self.untaken(database)) is not None]
        return min(due) if due and min(due) >= self._jobs.untaken_after else None

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _accepted(self, job_ids: Iterable[str]) -> list[datetime]:
        """Return the moments at which jobs were accepted, of those that are still there."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(self._keys.job(job_id), "accepted_us")
            replies = pipe.execute()
        return [from_epoch_us(int(accepted_us)) for accepted_us in replies if accepted_us is not None]
