"""The store of leases: the operations by which workers take chunks, store their outcomes, or give them back."""

from collections.abc import Sequence
from typing import cast

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.clock import milliseconds
from carecase_worker.settings.model import JobSettings
from carecase_worker.store.operations.claims import (
    ChunkResult,
    Claim,
    Claims,
    Completion,
    Placement,
    RetryLater,
    claims_of,
)
from carecase_worker.store.operations.replies import ReclaimReply
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.redis.connection import redis_errors
from carecase_worker.store.scripts import named, values_of

_SWEEP_LIMIT = 500
_GROUP_CHUNKS = 100
"""Maximum number of small chunks in a group: storing their outcomes blocks Redis for a few milliseconds."""


class LeaseStore:
    """Leases of chunks, and the order in which chunks may be leased, in Redis.

    Every method raises StoreUnavailable.
    """

    def __init__(self, client: StoreClient, jobs: JobSettings) -> None:
        self._client = client
        self._jobs = jobs
        self._times = {"renotify_after_ms": milliseconds(jobs.renotify_after), "lease_ms": milliseconds(jobs.lease)}
        self._group = {"room": jobs.chunk_items, "chunks": _GROUP_CHUNKS}

    def claim(self, chunk: ChunkRef, holder: str) -> Claim:
        """Take the lease of a chunk."""
        return self._claimed(chunk, holder, 0)[0][1]

    def claim_group(self, chunk: ChunkRef, holder: str) -> Claims:
        """Take the lease of a chunk, returned first; if it is small, also the leases of other ready small chunks."""
        return self._claimed(chunk, holder, self._jobs.chunk_items)

    def complete(self, chunk: ChunkRef, done: ChunkResult, holder: str = "") -> Completion:
        """Store a chunk's outcomes; see `complete_all`."""
        return self.complete_all([(chunk, done)], holder)

    def complete_all(self, chunks: Sequence[tuple[ChunkRef, ChunkResult]], holder: str = "") -> Completion:
        """Store the outcomes of chunks of one database; claim the next chunks for `holder`, if one is given."""
        results = [done.named(chunk) for chunk, done in chunks]
        arguments = named(done=results, holder=holder, **self._times, group=self._group)
        return Completion.of(self._client.run("complete", [arguments, *(done.packed for _, done in chunks)]))

    def release(self, chunks: Sequence[ChunkRef], holder: str, wait: RetryLater) -> None:
        """Give chunks back to be tried again later; open the circuit of their database if `wait` says so."""
        arguments = named(
            chunks=[{"job": chunk.job_id, "chunk": chunk.chunk_no} for chunk in chunks],
            holder=holder,
            after_ms=milliseconds(wait.after),
            open_circuit_ms=milliseconds(wait.open_circuit),
            unexplained=wait.unexplained,
            counts_toward_deadline=wait.counts_toward_deadline,
            reason=wait.reason,
            too_slow=wait.too_slow,
            isolation=wait.isolation.stored() if wait.isolation else "",
            lease_ms=self._times["lease_ms"],
        )
        self._client.run("release", [arguments])

    def holders(self) -> list[str]:
        """Return the processes that hold a chunk."""
        with redis_errors():
            holders = cast(list[bytes], self._client.redis.hvals(self._client.keys.holding))
        return sorted({name.decode() for name in holders})

    def reclaim(self, holder: str) -> list[tuple[str, ChunkRef]]:
        """Take back the chunks of a dead process; return each with its database."""
        reply = values_of(self._client.run("reclaim", [named(holder=holder)]), ReclaimReply)
        return [(one.database, ChunkRef.of(one.chunk)) for one in reply.chunks]

    def overdue(self, database: str, waiting_notifications: int) -> tuple[ChunkRef, ...]:
        """Return the chunks of a database to notify for now."""
        arguments = named(database=database, waiting=waiting_notifications, limit=_SWEEP_LIMIT, **self._times)
        return tuple(ChunkRef.of(name.decode()) for name in self._client.run("overdue", [arguments]))

    def place(self, database: str, placements: Sequence[Placement], holder: str) -> Completion:
        """Store which jobs of a database wait for which; claim the next chunks for `holder`, if one is given."""
        entries = [{"job": one.job_id, "behind": one.behind, "after": one.after} for one in placements]
        arguments = named(database=database, placements=entries, holder=holder, **self._times, group=self._group)
        return Completion.of(self._client.run("place", [arguments]))

    def settle(self, database: str, highest: int) -> bool:
        """Start the order of acceptance above the highest place stored in a database; False if that was done before."""
        return bool(self._client.run("settle", [named(database=database, highest=highest)]) == b"settled")

    def unsettled(self, databases: Sequence[str]) -> list[str]:
        """Return the databases whose order of acceptance this Redis has not settled yet."""
        with redis_errors():
            settled = cast(list[bytes | None], self._client.redis.mget(list(map(self._client.keys.settled, databases))))
        return [database for database, highest in zip(databases, settled, strict=True) if highest is None]

    def _claimed(self, chunk: ChunkRef, holder: str, room: int) -> Claims:
        arguments = named(
            job=chunk.job_id,
            chunk=chunk.chunk_no,
            holder=holder,
            lease_ms=self._times["lease_ms"],
            group={**self._group, "room": room},
        )
        return claims_of(self._client.run("claim", [arguments]))
