"""Claims, leases and completions of chunks: arguments and results of the operations on them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import msgspec

from carecase_worker.batches.binding import Binding, Order
from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.clock import epoch_us, from_epoch_us
from carecase_worker.store.scripts import values_of
from carecase_worker.traceparent import TraceParent


class Claimed(Enum):
    """Verdicts of `claim`."""

    APPLY = "apply"
    CANCEL = "cancel"
    DONE = "done"
    GONE = "gone"
    BUSY = "busy"
    CIRCUIT_OPEN = "circuit_open"
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
    empty if the job is not sealed. `traceparent` is the span of the request that sent the job, if it is traced. A dry
    run is rolled back.
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
    dry_run: bool = False

    @property
    def binding(self) -> Binding:
        """The facts that the data key of the job must be bound to."""
        return Binding.of(self, self.chunk.job_id, self.chunks)

    @property
    def order(self) -> Order:
        """The place in the order of acceptance that `admit` must have signed."""
        return Order(self.seq, epoch_us(self.accepted_at), self.unsettled, self.moved)

    @classmethod
    def of(cls, told: "ClaimReply", payload: bytes) -> "Lease":
        """Return the lease from a reply of `claim`, and the payload that came with it."""
        failing_for = timedelta(milliseconds=told.failing_for_ms)
        history = History(told.deaths, told.releases, told.faults, told.failures, failing_for, told.too_slow)
        return cls(
            chunk=ChunkRef.of(told.chunk),
            payload=payload,
            history=history,
            database=told.database,
            care_plan=told.care_plan,
            user=told.user,
            seq=told.seq,
            accepted_at=from_epoch_us(told.accepted_us),
            strict=told.strict,
            unsettled=told.unsettled,
            moved=told.moved,
            client=told.client,
            total=told.total,
            chunks=told.chunks,
            data_key=told.data_key,
            signature=told.signature,
            traceparent=TraceParent.of(told.traceparent),
            dry_run=told.dry_run,
        )


class ClaimReply(msgspec.Struct, gc=False):
    """The verdict of `claim` on one chunk; what comes with it is in the head of the script."""

    chunk: str
    verdict: str
    holder: str = ""
    database: str = ""
    deaths: int = 0
    releases: int = 0
    faults: int = 0
    too_slow: int = 0
    failures: int = 0
    failing_for_ms: int = 0
    care_plan: int | None = None
    user: str = ""
    seq: int = 0
    strict: bool = False
    accepted_us: int = 0
    unsettled: bool = False
    moved: int | None = None
    client: str = ""
    total: int = 0
    chunks: int = 0
    data_key: str = ""
    signature: str = ""
    traceparent: str = ""
    dry_run: bool = False


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
    def of(cls, told: ClaimReply, payloads: Iterator[bytes]) -> "Claim":
        """Return the claim from a reply of `claim`; its payload, if it has one, is the next one."""
        match Claimed(told.verdict):
            case (Claimed.APPLY | Claimed.CANCEL) as taken:
                return cls(taken, Lease.of(told, next(payloads)))
            case verdict:
                return cls(verdict, holder=told.holder, database=told.database)


Claims = tuple[tuple[ChunkRef, Claim], ...]
"""Chunks that were claimed together, with the verdicts."""


class _ClaimsReply(msgspec.Struct):
    chunks: list[ClaimReply]


def claims_of(reply: Sequence[bytes]) -> Claims:
    """Return the claims from a reply of `claim`."""
    values, *payloads = reply
    return _claims(values_of(values, _ClaimsReply).chunks, payloads)


def _claims(told: Sequence[ClaimReply], payloads: Iterable[bytes]) -> Claims:
    left = iter(payloads)
    return tuple((ChunkRef.of(one.chunk), Claim.of(one, left)) for one in told)


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """The outcomes of a chunk for `complete`, packed and counted.

    `retryable`: `retry` may want the payload again. `database_answered`: the database decided, rather than its absence.
    """

    packed: bytes
    counts: Mapping[str, int]
    retryable: bool = False
    database_answered: bool = True

    def named(self, chunk: ChunkRef) -> dict[str, Any]:
        """Return the arguments of `complete` for a chunk, by name; the packed outcomes follow them."""
        return {
            "job": chunk.job_id,
            "chunk": chunk.chunk_no,
            "keep": self.retryable,
            "counts": self.counts,
            "answered": self.database_answered,
        }


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Arguments of `release`.

    `after`: when to try again; `open_circuit`: for how long to open the circuit of the database; `unexplained`: nobody
    knows why the attempt failed; `counts_toward_deadline`: the retry deadline runs, and `reason` says what the database
    failed with; `too_slow`: the attempt did not end in its time.
    """

    after: timedelta
    open_circuit: timedelta = timedelta(0)
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
    following: Claims = ()
    final: tuple[str, ...] = ()

    @property
    def verdict(self) -> Completed:
        """The verdict on the first chunk."""
        return self.verdicts[0]

    @classmethod
    def of(cls, reply: Sequence[bytes]) -> "Completion":
        """Return the completion from a reply of `complete` or `place`."""
        values, *payloads = reply
        told = values_of(values, _CompletionReply)
        return cls(
            verdicts=tuple(map(Completed, told.verdicts)),
            shares=told.shares,
            to_notify=tuple(map(ChunkRef.of, told.to_notify)),
            following=_claims(told.following, payloads),
            final=tuple(told.final),
        )


class _CompletionReply(msgspec.Struct):
    verdicts: list[str]
    shares: int
    to_notify: list[str]
    following: list[ClaimReply]
    final: list[str]


@dataclass(frozen=True, slots=True)
class Placement:
    """The jobs that a job waits for: those in `after`, or all up to `behind` in the order of acceptance."""

    job_id: str
    after: tuple[str, ...] = ()
    behind: str = ""
