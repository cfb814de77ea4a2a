"""The job store: one method for each operation, which is one Lua script, and methods that read."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import redis

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import UNSEALED, Seals
from carecase_worker.clock import milliseconds, monotonic
from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.job import COUNTS, Cancelled, Job, Purged, with_body_digest
from carecase_worker.store.keys import Keys
from carecase_worker.store.operations.admission import Admission, Kept, NewJob, Staging
from carecase_worker.store.operations.calls import (
    PACE_FIELDS,
    TROUBLE_FIELDS,
    admit_call,
    flat,
    job_of_replies,
    limits_of,
    pace_of_replies,
    places_of,
    trouble_of_replies,
)
from carecase_worker.store.operations.claims import (
    ChunkResult,
    Claim,
    Claims,
    Completion,
    Placement,
    RetryLater,
    claims_of,
)
from carecase_worker.store.operations.replies import CancelReply, ReclaimReply
from carecase_worker.store.operations.throughput import Throughput, Trouble
from carecase_worker.store.redis.checkup import require_fit
from carecase_worker.store.redis.connection import RESPONSE_TIMEOUT, connect, redis_errors
from carecase_worker.store.scripts import OPERATIONS, named, script_of, values_of
from carecase_worker.telemetry import Observe, unobserved

_STAGED_FOR_MS = 900_000
_SWEEP_LIMIT = 500
_GROUP_CHUNKS = 100
"""Maximum number of small chunks in a group: storing their outcomes blocks Redis for a few milliseconds."""


class JobStore:
    """Jobs, chunks and outcomes in Redis.

    Every method raises StoreUnavailable if Redis is unreachable or rejects the command.
    """

    def __init__(
        self, settings: RedisSettings, jobs: JobSettings, seals: Seals = UNSEALED, observe: Observe = unobserved
    ) -> None:
        """Make the store; `observe` is called with each operation's name and its duration in seconds."""
        self._redis = connect(settings)
        self._wait_for_disk = settings.durability == "fsync"
        self._jobs = jobs
        self._seals = seals
        self._observe = observe
        self._times = {"renotify_after_ms": milliseconds(jobs.renotify_after), "lease_ms": milliseconds(jobs.lease)}
        self._group = {"room": jobs.chunk_items, "chunks": _GROUP_CHUNKS}
        self.keys = Keys(settings.prefix)
        self._scripts = {operation: self._redis.register_script(script_of(operation)) for operation in OPERATIONS}

    def check(self) -> None:
        """Refuse a Redis that is too old (StoreUnavailable) or could lose accepted batches (SettingsError)."""
        require_fit(self._redis, self._wait_for_disk)

    def ping(self) -> None:
        """Ping Redis."""
        with redis_errors():
            self._redis.ping()

    def stage(self, staging: Staging, payloads: Mapping[int, bytes]) -> Admission:
        """Write chunk payloads to the staging hash, if there is room; they expire after 15 minutes unless admitted.

        `staging` has the size of the batch staged so far, including these chunks.
        """
        arguments = named(
            job=staging.job_id,
            database=staging.database,
            client=staging.client,
            staged_for_ms=_STAGED_FOR_MS,
            bytes=staging.size,
            chunks=staging.chunks,
            limits=limits_of(self._jobs),
        )
        names = places_of(self.keys, staging.job_id)
        return Admission.of(self._run("stage", [arguments, *flat(payloads)], names), staging.job_id)

    def discard(self, staging: Staging) -> None:
        """Drop the staged chunks of a batch that is refused, unless it is already a job."""
        arguments = named(job=staging.job_id, database=staging.database, client=staging.client)
        self._run("discard", [arguments], places_of(self.keys, staging.job_id))

    def admit(self, new: NewJob, last: Mapping[int, bytes]) -> Admission:
        """Make the batch a job, with its last chunks. With durability fsync, returns once it is on disk."""
        names, args = admit_call(self.keys, self._jobs, new, last)
        began = monotonic()
        with redis_errors():
            answer = self._admit_in_one_trip(names, args)
        self._observe("admit", monotonic() - began)
        return Admission.of_new(answer, new)

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
        return Completion.of(self._run("complete", [arguments, *(done.packed for _, done in chunks)]))

    def place(self, database: str, placements: Sequence[Placement], holder: str) -> Completion:
        """Store which jobs of a database wait for which; claim the next chunks for `holder`."""
        entries = [{"job": one.job_id, "behind": one.behind, "after": one.after} for one in placements]
        arguments = named(database=database, placements=entries, holder=holder, **self._times, group=self._group)
        return Completion.of(self._run("place", [arguments]))

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
        )
        self._run("release", [arguments])

    def cancel(self, job_id: str) -> tuple[Cancelled, tuple[ChunkRef, ...]]:
        """Cancel the chunks that are not applied yet; return the verdict and the chunks to notify for now."""
        arguments = named(job=job_id, renotify_after_ms=self._times["renotify_after_ms"])
        reply = values_of(self._run("cancel", [arguments]), CancelReply)
        return Cancelled(reply.verdict), tuple(map(ChunkRef.of, reply.to_notify))

    def purge(self, job_id: str) -> Purged:
        """Remove payload and result of a final job; its record expires when it would have anyway."""
        return Purged(self._run("purge", [named(job=job_id)]).decode())

    def overdue(self, database: str, waiting_notifications: int) -> tuple[ChunkRef, ...]:
        """Return the chunks of a database to notify for now."""
        arguments = named(database=database, waiting=waiting_notifications, limit=_SWEEP_LIMIT, **self._times)
        return tuple(ChunkRef.of(name.decode()) for name in self._run("overdue", [arguments]))

    def holders(self) -> list[str]:
        """Return the processes that hold a chunk."""
        with redis_errors():
            return sorted({name.decode() for name in cast(list[bytes], self._redis.hvals(self.keys.holding))})

    def reclaim(self, holder: str) -> list[tuple[str, ChunkRef]]:
        """Take back the chunks of a dead process; return each with its database."""
        reply = values_of(self._run("reclaim", [named(holder=holder)]), ReclaimReply)
        return [(one.database, ChunkRef.of(one.chunk)) for one in reply.chunks]

    def settle(self, database: str, highest: int) -> bool:
        """Start the order of acceptance above the highest place stored in a database; False if that was done before."""
        return bool(self._run("settle", [named(database=database, highest=highest)]) == b"settled")

    def unsettled(self, databases: Sequence[str]) -> list[str]:
        """Return the databases whose order of acceptance this Redis has not settled yet."""
        with redis_errors():
            settled = cast(list[bytes | None], self._redis.mget(list(map(self.keys.settled, databases))))
        return [database for database, highest in zip(databases, settled, strict=True) if highest is None]

    def job(self, job_id: str) -> Job:
        """Read the record of a job.

        Raises JobNotFound, and SealBroken if the record was modified and the key that wraps its data key is configured.
        """
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(self.keys.job(job_id))
            replies = pipe.execute()
        return with_body_digest(job_of_replies(job_id, *replies), self._seals)

    def outcomes(self, job_id: str, chunk_nos: Sequence[int]) -> list[bytes | None]:
        """Read the packed outcomes of some chunks of a job; None for those that have none."""
        return self._of_chunks(self.keys.outcome(job_id), chunk_nos)

    def committed(self, job_id: str) -> list[int]:
        """Read the numbers of the chunks of a job that have outcomes, in order."""
        with redis_errors():
            return sorted(map(int, cast(list[bytes], self._redis.hkeys(self.keys.tally(job_id)))))

    def payloads(self, job_id: str, chunk_nos: Sequence[int]) -> list[bytes | None]:
        """Read the payloads of some chunks of a job; None for those that are not stored."""
        return self._of_chunks(self.keys.payload(job_id), chunk_nos)

    def tallies(self, job_id: str, chunks: int) -> list[Mapping[str, int]]:
        """Read the tally of each chunk of a job, by count name; zeros for a chunk that is not committed."""
        with redis_errors():
            stored = cast(dict[bytes, bytes], self._redis.hgetall(self.keys.tally(job_id)))
        empty = b",".join([b"0"] * len(COUNTS))
        split = (stored.get(b"%d" % number, empty).split(b",") for number in range(chunks))
        return [dict(zip(COUNTS, map(int, counts), strict=True)) for counts in split]

    def try_acquire_interval(self, what: str, every: timedelta) -> bool:
        """Return whether the caller is to do the housekeeping task `what`; nobody else is for `every` after that."""
        with redis_errors():
            return bool(self._redis.set(self.keys.housekeeping(what), 1, nx=True, px=milliseconds(every)))

    def pace(self, database: str) -> Throughput:
        """Read the open work and the rate of a database."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hmget(self.keys.pace(database), PACE_FIELDS)
            return pace_of_replies(*pipe.execute())

    def trouble(self, database: str) -> Trouble | None:
        """Read the current failure of a database; None if there is none, or no chunk is open."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hmget(self.keys.trouble(database), TROUBLE_FIELDS)
            pipe.zcard(self.keys.due(database))
            return trouble_of_replies(*pipe.execute())

    def backlog(self, database: str) -> tuple[int, int]:
        """Read the number of unfinished jobs of a database, and the bytes of their payloads."""
        with redis_errors():
            jobs, size = cast(list[bytes | None], self._redis.hmget(self.keys.backlog(database), ["jobs", "bytes"]))
        return int(jobs or 0), int(size or 0)

    def kept(self, database: str) -> dict[str, Kept]:
        """Read the usage of a database, by client."""
        with redis_errors():
            stored = cast(dict[bytes, bytes], self._redis.hgetall(self.keys.kept(database)))
        usage = {tuple(name.decode().split(":", 1)): int(value) for name, value in stored.items()}
        clients = sorted(name[1] for name in usage if name[0] == "bytes" and len(name) == 2)
        return {name: Kept(usage.get(("jobs", name), 0), usage["bytes", name]) for name in clients}

    def due_count(self, database: str) -> int:
        """Count the open chunks of a database."""
        with redis_errors():
            return self._redis.zcard(self.keys.due(database))

    def stats(self) -> dict[tuple[str, str], int]:
        """Read the total numbers of items, by database and count."""
        with redis_errors():
            stored = cast(dict[bytes, bytes], self._redis.hgetall(self.keys.stats))
        split = ((name.decode().rsplit("|", 1), int(value)) for name, value in stored.items())
        return {(database, count): value for (database, count), value in split}

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _admit_in_one_trip(self, names: list[str], args: list[Any]) -> bytes:
        """Admit and wait for the fsync in one pipeline, so that a small batch costs one round trip."""
        script = self._scripts["admit"]
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.evalsha(script.sha, len(names), *names, *args)
            if self._wait_for_disk:
                pipe.execute_command("WAITAOF", 1, 0, milliseconds(RESPONSE_TIMEOUT) // 2)  # type: ignore[no-untyped-call]
            try:
                answers = pipe.execute()
            except redis.exceptions.NoScriptError:
                self._redis.script_load(script.script)
                return self._admit_in_one_trip(names, args)
        if self._wait_for_disk and answers[1][0] < 1:
            raise StoreUnavailable("the job store has not confirmed that the batch is on disk")
        return cast(bytes, answers[0])

    def _claimed(self, chunk: ChunkRef, holder: str, room: int) -> Claims:
        arguments = named(
            job=chunk.job_id,
            chunk=chunk.chunk_no,
            holder=holder,
            lease_ms=self._times["lease_ms"],
            group={**self._group, "room": room},
        )
        return claims_of(self._run("claim", [arguments]))

    def _of_chunks(self, key: str, chunk_nos: Sequence[int]) -> list[bytes | None]:
        with redis_errors():
            return cast(list[bytes | None], self._redis.hmget(key, [str(number) for number in chunk_nos]))

    def _run(self, operation: str, args: Sequence[Any], names: Sequence[str] = ()) -> Any:
        began = monotonic()
        with redis_errors():
            answer = self._scripts[operation](keys=[self.keys.prefix, *names], args=args)
        self._observe(operation, monotonic() - began)
        return answer
