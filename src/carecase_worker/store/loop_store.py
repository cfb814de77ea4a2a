"""The asyncio job store: the operations that client requests need, without threads."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from carecase_worker.batches.encryption import UNSEALED, Seals
from carecase_worker.clock import monotonic
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.job import Job, with_body_digest
from carecase_worker.store.keys import Keys
from carecase_worker.store.operations.admission import Admission, NewJob
from carecase_worker.store.operations.calls import PACE_FIELDS, admit_call, job_of_replies, pace_of_replies
from carecase_worker.store.operations.throughput import Throughput
from carecase_worker.store.redis.connection import connect_loop, moment_of, redis_errors
from carecase_worker.store.redis.pipelining import Pipelining, ScriptPipelining
from carecase_worker.telemetry import Observe, unobserved

_PACE_KEPT_S = 0.25


class LoopStore:
    """Admission of batches, and reading of jobs.

    Every method raises StoreUnavailable if Redis is unreachable or rejects a command.
    """

    def __init__(
        self, settings: RedisSettings, jobs: JobSettings, seals: Seals = UNSEALED, observe: Observe = unobserved
    ) -> None:
        """Make the store; `observe` is called with each round trip's name (`admit`, `read`) and its seconds."""
        self._keys = Keys(settings.prefix)
        self._jobs = jobs
        self._seals = seals
        is_durable = settings.durability == "fsync"
        self._admissions = ScriptPipelining(connect_loop(settings), "admit", is_durable, partial(observe, "admit"))
        self._reads = Pipelining(connect_loop(settings), observe=partial(observe, "read"))
        self._paces: dict[str, tuple[float, Throughput]] = {}

    async def admit(self, new: NewJob, last: Mapping[int, bytes]) -> Admission:
        """Make the batch a job, with its last chunks. With durability fsync, returns once it is on disk."""
        names, args = admit_call(self._keys, self._jobs, new, last)
        with redis_errors():
            answer = await self._admissions.run([self._keys.prefix, *names], args)
        return Admission.of_new(answer, new)

    async def job(self, job_id: str) -> Job:
        """Read the record of a job.

        Raises JobNotFound, and SealBroken if the record was modified and the key that wraps its data key is configured.
        """
        now, record = await self._reads.commands(("TIME",), ("HGETALL", self._keys.job(job_id)))
        return with_body_digest(job_of_replies(job_id, now, record), self._seals)

    async def now(self) -> datetime:
        """Read Redis's clock."""
        (now,) = await self._reads.commands(("TIME",))
        return moment_of(now)

    async def pace(self, database: str) -> Throughput:
        """Return the open work and the rate of a database, at most a quarter of a second old.

        Each poll of an open job needs them, to say when to poll next.
        """
        read_at, pace = self._paces.get(database, (0.0, None))
        if pace is not None and monotonic() - read_at < _PACE_KEPT_S:
            return pace
        now, fields = await self._reads.commands(("TIME",), ("HMGET", self._keys.pace(database), *PACE_FIELDS))
        pace = pace_of_replies(now, fields)
        self._paces[database] = monotonic(), pace
        return pace

    async def close(self) -> None:
        """Close the connections."""
        await self._admissions.close()
        await self._reads.close()
