"""The lists of jobs: each client's own, newest first."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import msgspec

from carecase_worker.batches.encryption import UNSEALED, Seals
from carecase_worker.clock import epoch_us
from carecase_worker.errors import SealBroken
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.job import LISTED, Job, job_from_record, with_body_digest
from carecase_worker.store.keys import Keys
from carecase_worker.store.redis.connection import connect, moment_of, redis_errors
from carecase_worker.store.scripts import named, script_of, values_of
from carecase_worker.telemetry import logger

_log = logger("jobs")
FILTER_WINDOW = 5000
_READ_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class JobFilter:
    """A page of a client's jobs: `count` from the index `first` on; optionally of one state or one database."""

    first: int
    count: int
    state: str | None = None
    database: str | None = None


class _ListReply(msgspec.Struct):
    total: int
    jobs: list[str]


class JobLists:
    """Lists of jobs in Redis; the cost of a page does not grow with the jobs. Raises StoreUnavailable."""

    def __init__(self, settings: RedisSettings, seals: Seals = UNSEALED) -> None:
        self._redis = connect(settings)
        self._script = self._redis.register_script(script_of("list"))
        self._seals = seals
        self.keys = Keys(settings.prefix)

    def jobs_of(self, client: str, databases: Collection[str], which: JobFilter) -> tuple[int, list[Job]]:
        """Count a client's jobs in some databases and return a page of them, newest first, without their chunks.

        Expired jobs are left out. A filter by state searches only the newest `FILTER_WINDOW` jobs, within Redis, so
        that no other record is sent.
        """
        chosen = sorted(databases if which.database is None else {which.database} & set(databases))
        if not chosen:
            return 0, []
        found = self._listed(client, chosen, which)
        jobs = (job for job in self._jobs(found.jobs) if not job.expired)
        return found.total, [one for job in jobs if (one := self._if_readable(job, client, chosen))]

    def final_since(self, client: str, databases: Collection[str], since: datetime) -> tuple[bool, list[Job]]:
        """Return a client's jobs that became final at or after `since`, in that order, without their chunks.

        Only the newest `FILTER_WINDOW` jobs are searched; the first value says if these are all of the client's jobs.
        """
        found = self._listed(client, databases, JobFilter(0, FILTER_WINDOW))
        with redis_errors():
            ends = self._of_each(found.jobs, ("finished_us",))
        ended = [job_id for job_id, (us,) in zip(found.jobs, ends, strict=True) if us and int(us) >= epoch_us(since)]
        jobs = [self._if_readable(job, client, databases) for job in self._jobs(ended)]
        return found.total <= FILTER_WINDOW, sorted(filter(None, jobs), key=lambda job: (job.finished_at, job.job_id))

    def _listed(self, client: str, databases: Collection[str], which: JobFilter) -> _ListReply:
        """Return the ids of the jobs of the page, and the number of all."""
        arguments = named(
            client=client,
            databases=sorted(databases),
            first=which.first,
            count=which.count,
            state=which.state or "",
            window=FILTER_WINDOW,
        )
        with redis_errors():
            return values_of(cast(bytes, self._script(keys=[self.keys.prefix], args=[arguments])), _ListReply)

    def _jobs(self, job_ids: Sequence[str]) -> list[Job]:
        """Return the jobs with these ids, without their chunks; deleted ones are left out."""
        with redis_errors():
            now = moment_of(self._redis.time())
            records = [dict(zip(LISTED, values, strict=True)) for values in self._of_each(job_ids, LISTED)]
        found = zip(job_ids, records, strict=True)
        return [job_from_record(job_id, record, now) for job_id, record in found if record["state"]]

    def _if_readable(self, job: Job, client: str, databases: Collection[str]) -> Job | None:
        """Return a job of a client with the digest of its body; None if its record or a list was modified by others."""
        try:
            job_with_digest = with_body_digest(job, self._seals)
        except SealBroken as error:
            _log.error("job left out of a list", job_id=job.job_id, reason=str(error))
            return None
        return job_with_digest if job_with_digest.client == client and job_with_digest.database in databases else None

    def _of_each(self, job_ids: Sequence[str], names: Sequence[str]) -> list[list[str]]:
        """Return some fields of the records of some jobs; missing ones are empty."""
        found: list[list[bytes | None]] = []
        for start in range(0, len(job_ids), _READ_AT_ONCE):
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids[start : start + _READ_AT_ONCE]:
                    pipe.hmget(self.keys.job(job_id), names)
                found += pipe.execute()
        return [[(value or b"").decode() for value in values] for values in found]
