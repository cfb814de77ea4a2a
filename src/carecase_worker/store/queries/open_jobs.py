"""Open jobs of a database and their key sets, which decide which job waits for which."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from carecase_worker.batches.binding import Binding
from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import UNSEALED, Kind, Seals
from carecase_worker.batches.key_sets import KeySet
from carecase_worker.errors import PayloadUnreadable, SealBroken
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.redis.connection import redis_errors

_PLACED_AT_ONCE = 200
_READ_AT_ONCE = 50
_MAX_BYTES = 256 * 1024 * 1024
"""Maximum memory of the sets in a process: those of ten thousand jobs with a thousand keys each of ten million take
half of it."""
_BOUND = ("client", "user", "database", "care_plan", "total", "chunks", "strict", "data_key")


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that is not final: its place in the order of acceptance, and the care plan of its path, or ""."""

    job_id: str
    seq: int
    care_plan: str

    @classmethod
    def of(cls, member: bytes, seq: float) -> "OpenJob":
        """Return the job from an entry of the list of open jobs."""
        job_id, _, care_plan = member.decode().partition("|")
        return cls(job_id, int(seq), care_plan)


class OpenJobs:
    """The open jobs in Redis, and a cache of their sets. Every method raises StoreUnavailable."""

    def __init__(self, client: StoreClient, seals: Seals = UNSEALED, max_bytes: int = _MAX_BYTES) -> None:
        """Cache sets that take about `max_bytes` of memory in all, at most."""
        self._redis = client.redis
        self._seals = seals
        self._keys = client.keys
        self._max_bytes = max_bytes
        self._sets: dict[str, KeySet | None] = {}

    def unplaced(self, database: str) -> tuple[list[OpenJob], list[OpenJob]]:
        """Return the oldest unplaced jobs, including ones that are no longer open, and all open jobs in order."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.zrange(self._keys.unplaced(database), 0, _PLACED_AT_ONCE - 1)
            pipe.zrange(self._keys.open(database), 0, -1, withscores=True)
            unplaced, entries = pipe.execute()
        there = [OpenJob.of(*one) for one in entries]
        known = {job.job_id: job for job in there}
        return [known.get(name, OpenJob(name, 0, "")) for name in map(bytes.decode, unplaced)], there

    def key_sets(self, jobs: Iterable[OpenJob]) -> Mapping[str, KeySet | None]:
        """Return the set of each job, by its id; None if it cannot be read, or if the sets before it take all memory.

        The sets are cached for the next call; those of other jobs are dropped from the cache.
        """
        wanted = [job.job_id for job in jobs]
        self._sets = {job_id: self._sets[job_id] for job_id in wanted if job_id in self._sets}
        self._read_more([job_id for job_id in wanted if job_id not in self._sets])
        return {job_id: self._sets.get(job_id) for job_id in wanted}

    def _read_more(self, missing: Sequence[str]) -> None:
        """Read sets while there is memory for them; cached at once: an attempt that is cut short is not lost."""
        left = self._max_bytes - sum(one.memory_bytes for one in self._sets.values() if one is not None)
        for first in range(0, len(missing), _READ_AT_ONCE):
            for job_id, one in self._read(missing[first : first + _READ_AT_ONCE]).items():
                left -= 0 if one is None else one.memory_bytes
                if left < 0:
                    return
                self._sets[job_id] = one

    def _read(self, job_ids: Sequence[str]) -> dict[str, KeySet | None]:
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.get(self._keys.key_set(job_id))
                pipe.hmget(self._keys.job(job_id), _BOUND)
            replies = pipe.execute()
        return {
            job_id: self._opened(job_id, sealed, record)
            for job_id, sealed, record in zip(job_ids, replies[::2], replies[1::2], strict=True)
        }

    def _opened(self, job_id: str, sealed: bytes | None, record: Sequence[bytes | None]) -> KeySet | None:
        if sealed is None or None in record:
            return None
        client, user, database, care_plan, total, chunks, strict, data_key = (
            field.decode() for field in cast(Sequence[bytes], record)
        )
        bound = int(care_plan) if care_plan else None
        binding = Binding(job_id, client, user, database, bound, int(total), int(chunks), strict == "1")
        try:
            key = self._seals.opened(data_key, binding).key
            return KeySet.unpacked(key.open(Kind.KEYS, ChunkRef(job_id, 0), sealed))
        except (PayloadUnreadable, SealBroken):
            return None
