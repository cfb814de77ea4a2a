"""Rewrapping of data keys with the first configured key, so that older keys can be destroyed."""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import cast

from carecase_worker.batches.encryption import Seals
from carecase_worker.errors import JobNotFound, PayloadUnreadable, SealBroken
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.queries.workload import Workload
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.redis.connection import redis_errors
from carecase_worker.store.scripts import named


class Rewrapped(Enum):
    """The result of rewrapping a job's data key."""

    WRAPPED = "wrapped"
    FRESH = "fresh"  # it was wrapped with the first key before, or the job has none, or is gone
    LOST = "lost"  # the key that wraps it is not here, or its record was changed


class Rewrapping:
    """The rewrapping of data keys in Redis. Every method raises StoreUnavailable."""

    def __init__(self, client: StoreClient, jobs: JobStore, seals: Seals) -> None:
        self._client = client
        self._redis = client.redis
        self._keys = client.keys
        self._workload = Workload(client)
        self._jobs = jobs
        self._seals = seals

    def databases(self) -> list[str]:
        """Return the databases that have, or ever had, jobs in this Redis, whatever a configuration names."""
        with redis_errors():
            busy = cast(set[bytes], self._redis.smembers(self._keys.busy))
        # later than `busy`: a database that is not busy any more has been counted
        counted = (database for database, _ in self._workload.stats())
        return sorted({*(name.decode() for name in busy), *counted})

    def jobs(self, databases: Iterable[str]) -> Iterator[str]:
        """Yield the jobs of databases that are open or have a stored result; some twice.

        Each list is read at once: read in parts, it would skip jobs while others are removed.
        """
        for database in databases:
            for client in self._workload.kept(database):
                with redis_errors():
                    listed = cast(list[bytes], self._redis.zrange(self._keys.jobs(database, client), 0, -1))
                yield from (name.decode() for name in listed)
            with redis_errors():
                members = cast(list[bytes], self._redis.zrange(self._keys.open(database), 0, -1))
            yield from (name.decode().partition("|")[0] for name in members)

    def rewrap(self, job_id: str) -> Rewrapped:
        """Wrap the data key of a job with the first configured key."""
        try:
            job = self._jobs.job(job_id)
            if not job.data_key or self._seals.is_own(job.data_key):
                return Rewrapped.FRESH
            anew, mark = self._seals.rewrapped(job.data_key, job.binding)
        except JobNotFound:
            return Rewrapped.FRESH
        except (PayloadUnreadable, SealBroken):
            return Rewrapped.LOST
        name = self._keys.idempotency(job.client, mark.key) if mark else ""
        fingerprint = mark.fingerprint if mark else ""
        arguments = named(job=job_id, wrapped=job.data_key, rewrapped=anew, idempotency=name, fingerprint=fingerprint)
        reply = self._client.run("rewrap", [arguments])
        return Rewrapped.WRAPPED if reply == b"wrapped" else Rewrapped.FRESH
