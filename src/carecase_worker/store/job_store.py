"""The store of jobs: the record, payloads and outcomes of a job, its cancellation and its purge."""

from collections.abc import Mapping, Sequence
from typing import cast

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import UNSEALED, Seals
from carecase_worker.clock import milliseconds
from carecase_worker.settings.model import JobSettings
from carecase_worker.store.job import COUNTS, Cancelled, Job, Purged, with_body_digest
from carecase_worker.store.operations.calls import job_of_replies
from carecase_worker.store.operations.replies import CancelReply
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.redis.connection import redis_errors
from carecase_worker.store.scripts import named, values_of


class JobStore:
    """Jobs in Redis. Every method raises StoreUnavailable."""

    def __init__(self, client: StoreClient, jobs: JobSettings, seals: Seals = UNSEALED) -> None:
        self._client = client
        self._renotify_after_ms = milliseconds(jobs.renotify_after)
        self._seals = seals

    def job(self, job_id: str) -> Job:
        """Read the record of a job.

        Raises JobNotFound, and SealBroken if the record was modified and the key that wraps its data key is configured.
        """
        with redis_errors(), self._client.redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(self._client.keys.job(job_id))
            replies = pipe.execute()
        return with_body_digest(job_of_replies(job_id, *replies), self._seals)

    def outcomes(self, job_id: str, chunk_nos: Sequence[int]) -> list[bytes | None]:
        """Read the packed outcomes of some chunks of a job; None for those that have none."""
        return self._of_chunks(self._client.keys.outcome(job_id), chunk_nos)

    def payloads(self, job_id: str, chunk_nos: Sequence[int]) -> list[bytes | None]:
        """Read the payloads of some chunks of a job; None for those that are not stored."""
        return self._of_chunks(self._client.keys.payload(job_id), chunk_nos)

    def committed(self, job_id: str) -> list[int]:
        """Read the numbers of the chunks of a job that have outcomes, in order."""
        with redis_errors():
            return sorted(map(int, cast(list[bytes], self._client.redis.hkeys(self._client.keys.tally(job_id)))))

    def tallies(self, job_id: str, chunks: int) -> list[Mapping[str, int]]:
        """Read the tally of each chunk of a job, by count name; zeros for a chunk that is not committed."""
        with redis_errors():
            stored = cast(dict[bytes, bytes], self._client.redis.hgetall(self._client.keys.tally(job_id)))
        empty = b",".join([b"0"] * len(COUNTS))
        split = (stored.get(b"%d" % number, empty).split(b",") for number in range(chunks))
        return [dict(zip(COUNTS, map(int, counts), strict=True)) for counts in split]

    def cancel(self, job_id: str) -> tuple[Cancelled, tuple[ChunkRef, ...]]:
        """Cancel the chunks that are not applied yet; return the verdict and the chunks to notify for now."""
        arguments = named(job=job_id, renotify_after_ms=self._renotify_after_ms)
        reply = values_of(self._client.run("cancel", [arguments]), CancelReply)
        return Cancelled(reply.verdict), tuple(map(ChunkRef.of, reply.to_notify))

    def purge(self, job_id: str) -> Purged:
        """Remove payload and result of a final job; its record expires when it would have anyway."""
        return Purged(self._client.run("purge", [named(job=job_id)]).decode())

    def _of_chunks(self, key: str, chunk_nos: Sequence[int]) -> list[bytes | None]:
        with redis_errors():
            return cast(list[bytes | None], self._client.redis.hmget(key, [str(number) for number in chunk_nos]))
