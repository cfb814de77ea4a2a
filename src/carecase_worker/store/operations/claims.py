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
from carecase_worker.store.operations.isolation import Isolation
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

    Of the chunk: `deaths` of its holders, `releases` after failed attempts, `faults`, those with an unknown cause,
    `too_slow`, those that timed out, and the search for its poison items, if there was one. Of the job: for how long
    its database has been failing it, without the time in which nobody tried. Of the database: `failures`, the
    consecutive attempts that could not reach it.
    """

    deaths: int = 0
    releases: int = 0
    faults: int = 0
    failures: int = 0
    failing_for: timedelta = timedelta(0)
    too_slow: int = 0
    isolation: Isolation | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of a chunk to apply or to cancel, with the facts of its job.

    `seq` is the batch's place in the order of acceptance; while it is `unsettled`, the database may have higher ones
    from an earlier Redis. `data_key` is the job's, wrapped, and `signature` that of `admit` over the order; both are
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
    def of(cls, reply: "ClaimReply", payload: bytes) -> "Lease":
        """Return the lease from a reply of `claim`, and the payload that came with it."""
        failing_for = timedelta(milliseconds=reply.failing_for_ms)
        isolation = Isolation.of(reply.isolation)
        history = History(
            reply.deaths, reply.releases, reply.faults, reply.failures, failing_for, reply.too_slow, isolation
        )
        return cls(
            chunk=ChunkRef.of(reply.chunk),
            payload=payload,
            history=history,
            database=reply.database,
            care_plan=reply.care_plan,
            user=reply.user,
            seq=reply.seq,
            accepted_at=from_epoch_us(reply.accepted_us),
            strict=reply.strict,
            unsettled=reply.unsettled,
            moved=reply.moved,
            client=reply.client,
            total=reply.total,
            chunks=reply.chunks,
            data_key=reply.data_key,
            signature=reply.signature,
            traceparent=TraceParent.of(reply.traceparent),
            dry_run=reply.dry_run,
        )


class ClaimReply(msgspec.Struct, gc=False):
    """The verdict of `claim` on one chunk; the header of `claim.lua` lists the fields of each verdict."""

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
    isolation: str = ""
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

    APPLY and CANCEL come with a lease, BUSY with the holder, UNPLACED with a database that has jobs to place, the
    chunk's among them.
    """

    verdict: Claimed
    lease: Lease | None = None
    holder: str = ""
    database: str = ""

    @classmethod
    def of(cls, reply: ClaimReply, payloads: Iterator[bytes]) -> "Claim":
        """Return the claim from a reply of `claim`; takes the next payload if the verdict has one."""
        match Claimed(reply.verdict):
            case (Claimed.APPLY | Claimed.CANCEL) as taken:
                return cls(taken, Lease.of(reply, next(payloads)))
            case verdict:
                return cls(verdict, holder=reply.holder, database=reply.database)


Claims = tuple[tuple[ChunkRef, Claim], ...]
"""Chunks of one call of `claim`, with the verdicts."""


class _ClaimsReply(msgspec.Struct):
    chunks: list[ClaimReply]


def claims_of(reply: Sequence[bytes]) -> Claims:
    """Return the claims from a reply of `claim`."""
    values, *payloads = reply
    return _claims(values_of(values, _ClaimsReply).chunks, payloads)


def _claims(reply: Sequence[ClaimReply], payloads: Iterable[bytes]) -> Claims:
    left = iter(payloads)
    return tuple((ChunkRef.of(one.chunk), Claim.of(one, left)) for one in reply)


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """The outcomes of a chunk for `complete`, packed and counted.

    `retryable`: keep the payload for a retry of its items. `database_answered`: the outcomes come from a response of
    the database, not from its outage.
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

    `after`: delay until the next attempt; `open_circuit`: time for which to open the circuit of the database;
    `unexplained`: the attempt failed for an unknown reason; `counts_toward_deadline`: the retry deadline runs, and
    `reason` is the database's failure; `too_slow`: the attempt timed out; `isolation`: the search for poison items, if
    it has come further.
    """

    after: timedelta
    open_circuit: timedelta = timedelta(0)
    unexplained: bool = False
    counts_toward_deadline: bool = True
    reason: str = ""
    too_slow: bool = False
    isolation: Isolation | None = None


class Completed(Enum):
    """Verdicts of `complete`."""

    KEPT = "kept"
    DONE = "done"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Completion:
    """The result of `complete` and of `place`.

    `verdicts` says for each chunk whether its outcomes were stored; `shares` is the number of shares of the workers'
    time; `to_notify` are the chunks to notify for now; `following` are the chunks claimed for the caller as its next
    work; `final` are the jobs that became final.
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
        packed, *payloads = reply
        values = values_of(packed, _CompletionReply)
        return cls(
            verdicts=tuple(map(Completed, values.verdicts)),
            shares=values.shares,
            to_notify=tuple(map(ChunkRef.of, values.to_notify)),
            following=_claims(values.following, payloads),
            final=tuple(values.final),
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
