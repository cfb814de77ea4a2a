"""The lists of jobs: each client's own, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from carecase_worker.clock import epoch_ms
from carecase_worker.jobs.connection import connect, moment_of, redis_errors
from carecase_worker.jobs.job import LISTED, Job, job_from_record
from carecase_worker.jobs.keys import Keys
from carecase_worker.jobs.verdicts import Which
from carecase_worker.settings.model import RedisSettings

CHOSEN_AMONG = 5000
_READ_AT_ONCE = 500
_FORGOTTEN_AT_ONCE = 1000


class JobLists:
    """Lists of jobs in Redis. What it costs does not grow with the jobs. Raises StoreUnavailable."""

    def __init__(self, settings: RedisSettings) -> None:
        self._redis = connect(settings)
        self.keys = Keys(settings.prefix)

    def jobs_of(self, client: str, which: Which) -> tuple[int, list[Job]]:
        """How many jobs a client has, and some of them, newest first, without their chunks; expired ones are left out.

        A choice by state or database looks at the newest `CHOSEN_AMONG` jobs only.
        """
        with redis_errors():
            now = moment_of(self._redis.time())
            self._forget_expired(client, now)
            if which.every:
                total = self._redis.zcard(self.keys.jobs(client))
                job_ids = self._newest(client, which.first, which.count)
            else:
                newest = self._newest(client, 0, CHOSEN_AMONG)
                told = self._of_each(newest, ("state", "database"))
                chosen = [job_id for job_id, words in zip(newest, told, strict=True) if which.takes(*words)]
                total, job_ids = len(chosen), chosen[which.first : which.first + which.count]
            records = [dict(zip(LISTED, values, strict=True)) for values in self._of_each(job_ids, LISTED)]
        jobs = [
            job_from_record(job_id.decode(), record, now)
            for job_id, record in zip(job_ids, records, strict=True)
            if record["state"]
        ]
        return total, [job for job in jobs if not job.expired]

    def _newest(self, client: str, first: int, count: int) -> list[bytes]:
        return cast(list[bytes], self._redis.zrevrange(self.keys.jobs(client), first, first + count - 1))

    def _forget_expired(self, client: str, now: datetime) -> None:
        """Take jobs off a client's list whose result is no longer kept."""
        listed, expiring = self.keys.jobs(client), self.keys.expiring(client)
        over = self._redis.zrangebyscore(expiring, "-inf", epoch_ms(now), 0, _FORGOTTEN_AT_ONCE)
        if over:
            with self._redis.pipeline() as pipe:
                pipe.zrem(listed, *over)
                pipe.zrem(expiring, *over)
                pipe.execute()

    def _of_each(self, job_ids: Sequence[bytes], names: Sequence[str]) -> list[list[str]]:
        """Some fields of the records of some jobs; empty where there is none."""
        found: list[list[bytes | None]] = []
        for start in range(0, len(job_ids), _READ_AT_ONCE):
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids[start : start + _READ_AT_ONCE]:
                    pipe.hmget(self.keys.job(job_id.decode()), names)
                found += pipe.execute()
        return [[(value or b"").decode() for value in values] for values in found]
