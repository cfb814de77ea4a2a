"""Claims, leases and completions of chunks: arguments and results of the operations on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, assert_never

from carecase_worker.batches.binding import Binding, Order
from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.clock import epoch_us, from_epoch_us
from carecase_worker.traceparent import TraceParent


class Claimed(Enum):
    """Verdicts of `claim`."""

    APPLY = "apply"
    CANCEL = "cancel"
    DONE = "done"
    GONE = "gone"
    BUSY = "busy"
    HELD = "held"
    UNPLACED = "unplaced"


@dataclass(frozen=True, slots=True)
class History:
    """Failures before this attempt.

    Of the chunk: `deaths` of processes that held it, `releases` after failed attempts, `faults` among these that nobody
    could explain, and `too_slow`, those that took too long. Of the job: for how long its database has been failing it.
    Of the database: `failures`, the attempts in a row that found it away.
    """

    deaths: int = 0
    releases: int = 0
    faults: int = 0
    failures: int = 0
    failing_for: timedelta = timedelta(0)
    too_slow: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A chunk that the caller is to apply or to cancel, and the facts of its job.

    `seq` is the batch's place in the order of acceptance; while it is `unsettled`, the database may hold higher ones
    from before this Redis. `data_key` is the job's, wrapped, and `signature` that of `admit` over the order; both are
    empty if the job is not sealed. `traceparent` is the span of the request that sent the job, if it is traced.
    """

    chunk: ChunkRef
    payload: bytes
    history: History
    database: str
    care_plan: int | None
    user: str
    seq: int
    accepted_at: datetime
    strict: bool = False
    unsettled: bool = False
    moved: int | None = None
    client: str = ""
    total: int = 0
    chunks: int = 0
    data_key: str = ""
    signature: str = ""
    traceparent: TraceParent | None = None

    @property
    def binding(self) -> Binding:
        """The facts that the data key of the job must be bound to."""
        return Binding.of(self, self.chunk.job_id, self.chunks)

    @property
    def order(self) -> Order:
        """The place in the order of acceptance that `admit` must have signed."""
        return Order(self.seq, epoch_us(self.accepted_at), self.unsettled, self.moved)

    @classmethod
    def of(cls, chunk: ChunkRef, answer: Sequence[bytes]) -> "Lease":
        """Return the lease from a reply of `claim`."""
        payload, deaths, releases, faults, too_slow, failures, failing_for_ms, *job = answer
        database, care_plan, user, seq, strict, accepted_us, unsettled, moved, *sealed = job
        client, total, chunks, data_key, signature, traceparent = sealed
        failing_for = timedelta(milliseconds=int(failing_for_ms))
        return cls(
            chunk=chunk,
            payload=payload,
            history=History(int(deaths), int(releases), int(faults), int(failures), failing_for, int(too_slow)),
            database=database.decode(),
            care_plan=int(care_plan) if care_plan else None,
            user=user.decode(),
            seq=int(seq),
            accepted_at=from_epoch_us(int(accepted_us)),
            strict=strict == b"1",
            unsettled=unsettled == b"1",
            moved=int(moved) if moved else None,
            client=client.decode(),
            total=int(total),
            chunks=int(chunks),
            data_key=data_key.decode(),
            signature=signature.decode(),
            traceparent=TraceParent.of(traceparent.decode()),
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The verdict on a claim.

    There is a lease with APPLY and CANCEL, a holder with BUSY, and a database with UNPLACED: this database has jobs to
    be placed, the chunk's among them.
    """

    verdict: Claimed
    lease: Lease | None = None
    holder: str = ""
    database: str = ""

    @classmethod
    def of(cls, chunk: ChunkRef, answer: Sequence[bytes]) -> "Claim":
        """Return the claim from a reply of `claim`."""
        verdict, *rest = answer
        match Claimed(verdict.decode()):
            case (Claimed.APPLY | Claimed.CANCEL) as taken:
                return cls(taken, Lease.of(chunk, rest))
            case Claimed.BUSY:
                return cls(Claimed.BUSY, holder=rest[0].decode())
            case Claimed.UNPLACED:
                return cls(Claimed.UNPLACED, database=rest[0].decode())
            case (Claimed.DONE | Claimed.GONE | Claimed.HELD) as other:
                return cls(other)
            case never:
                assert_never(never)


def named_claim(answer: Sequence[bytes]) -> tuple[ChunkRef, Claim]:
    """Return the claim from a reply that names the chunk first."""
    chunk = ChunkRef.of(answer[0])
    return chunk, Claim.of(chunk, answer[1:])


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """The outcomes of a chunk for `complete`, packed and counted.

    `retryable`: `retry` may want the payload again. `database_answered`: the database decided, rather than its absence.
    """

    packed: bytes
    counts: Mapping[str, int]
    retryable: bool = False
    database_answered: bool = True


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Arguments of `release`.

    `after`: when to try again; `pause`: how long to leave the database alone; `unexplained`: nobody knows why the
    attempt failed; `database_to_blame`: the retry deadline runs, and `reason` says what the database failed with;
    `too_slow`: the attempt did not end in its time.
    """

    after: timedelta
    pause: timedelta = timedelta(0)
    unexplained: bool = False
    counts_toward_deadline: bool = True
    reason: str = ""
    too_slow: bool = False


class Completed(Enum):
    """Verdicts of `complete`."""

    KEPT = "kept"
    DONE = "done"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Completion:
    """The result of `complete` and of `place`.

    `verdicts` says for each chunk whether its outcomes were stored; `shares` is the number of shares into which the
    workers' time goes; `to_notify` are the chunks to notify for now; `following` are those claimed for the caller to go
    on with; `final` are the jobs that became final.
    """

    verdicts: tuple[Completed, ...]
    shares: int = 1
    to_notify: tuple[ChunkRef, ...] = ()
    following: tuple[tuple[ChunkRef, Claim], ...] = ()
    final: tuple[str, ...] = ()

    @property
    def verdict(self) -> Completed:
        """The verdict on the first chunk."""
        return self.verdicts[0]

    @classmethod
    def of(cls, answer: Sequence[Any]) -> "Completion":
        """Return the completion from a reply of `complete` or `place`."""
        shares, following, to_notify, final, *verdicts = answer
        return cls(
            verdicts=tuple(Completed(verdict.decode()) for verdict in verdicts),
            shares=shares,
            to_notify=tuple(map(ChunkRef.of, to_notify)),
            following=tuple(map(named_claim, following)),
            final=tuple(job.decode() for job in final),
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """The jobs that a job waits for: those in `after`, or all up to `behind` in the order of acceptance."""

    job_id: str
    after: tuple[str, ...] = ()
    behind: str = ""
