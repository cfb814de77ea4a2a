"""A job: its states, the transitions between them, and its record."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from carecase_worker.batches.binding import Binding
from carecase_worker.batches.encryption import Seals
from carecase_worker.clock import from_epoch_ms, from_epoch_us
from carecase_worker.errors import PayloadUnreadable
from carecase_worker.traceparent import TraceParent


class State(Enum):
    """The states of a job, by the contract's names."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """True if the job stays in this state for ever."""
        return self in (State.COMPLETED, State.CANCELLED)


class Cancelled(Enum):
    """Verdicts of `cancel`."""

    CANCELLING = "cancelling"
    FINAL = "final"
    GONE = "gone"


class Purged(Enum):
    """Verdicts of `purge`."""

    PURGED = "purged"
    OPEN = "open"
    GONE = "gone"


class Operation(Enum):
    """The operations that can move a job from state to state."""

    CLAIM = "claim"
    COMPLETE = "complete"
    RELEASE = "release"
    CANCEL = "cancel"


MOVES: Mapping[tuple[State, Operation], frozenset[State]] = {
    (State.QUEUED, Operation.CLAIM): frozenset({State.RUNNING, State.WAITING}),
    (State.QUEUED, Operation.COMPLETE): frozenset({State.RUNNING, State.COMPLETED}),
    (State.QUEUED, Operation.CANCEL): frozenset({State.CANCELLING}),
    (State.RUNNING, Operation.CLAIM): frozenset({State.RUNNING, State.WAITING}),
    (State.RUNNING, Operation.COMPLETE): frozenset({State.RUNNING, State.COMPLETED}),
    (State.RUNNING, Operation.RELEASE): frozenset({State.WAITING}),
    (State.RUNNING, Operation.CANCEL): frozenset({State.CANCELLING}),
    (State.WAITING, Operation.CLAIM): frozenset({State.RUNNING, State.WAITING}),
    (State.WAITING, Operation.COMPLETE): frozenset({State.RUNNING, State.COMPLETED}),
    (State.WAITING, Operation.RELEASE): frozenset({State.WAITING}),
    (State.WAITING, Operation.CANCEL): frozenset({State.CANCELLING}),
    (State.CANCELLING, Operation.CLAIM): frozenset({State.CANCELLING}),
    (State.CANCELLING, Operation.COMPLETE): frozenset({State.CANCELLING, State.COMPLETED, State.CANCELLED}),
    (State.CANCELLING, Operation.RELEASE): frozenset({State.CANCELLING}),
    (State.CANCELLING, Operation.CANCEL): frozenset({State.CANCELLING}),
}
"""The transition table: every state change an operation may make. No operation leaves a final state."""

COUNTS = ("created", "updated", "superseded", "failed", "cancelled")

DRY_RUN = "dry_run"
"""The name of the count of items of dry runs; other items are counted by outcome."""


LISTED = (
    "state", "client", "user", "database", "care_plan", "seq", "accepted_us", "unsettled", "total", *COUNTS, "sha256",
    "chunks", "strict", "data_key", "dry_run", "saw_seq",
    "started_us", "started_ms", "finished_us", "finished_ms", "expires_ms",
)  # fmt: skip
"""Fields of a record that are read for a list of jobs; the first items of its chunks are not."""


@dataclass(frozen=True, slots=True)
class Job:
    """The record of one accepted batch, as read at `read_at`. All times are by Redis's clock.

    `seq` is its place in the order of acceptance; while it is `unsettled`, the job may still be moved up, with all
    others. `retried_as` is the job with its items, once they are resubmitted. `data_key` is wrapped; `body_sha256` is
    empty while it is sealed with the data key. `traceparent` is the span of the request that sent it, if it is traced.
    A dry run has no place in the order, so its `seq` is 0; `saw_seq` is the place up to which all jobs were final when
    it started.
    """

    job_id: str
    client: str
    user: str
    database: str
    care_plan: int | None
    seq: int
    unsettled: bool
    state: State
    total: int
    counts: Mapping[str, int]
    chunk_firsts: tuple[int, ...]
    body_sha256: str
    strict: bool
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    read_at: datetime
    retried_as: str | None = None
    chunks: int = 0
    data_key: str = ""
    traceparent: TraceParent | None = None
    dry_run: bool = False
    saw_seq: int | None = None

    @property
    def binding(self) -> Binding:
        """The facts that its data key must be bound to."""
        return Binding.of(self, self.job_id, self.chunks)

    @property
    def processed(self) -> int:
        """Items that have an outcome."""
        return sum(self.counts.values())

    def places_of(self, chunk_no: int) -> range:
        """Return the indices in the batch of a chunk's items."""
        ends = (*self.chunk_firsts[1:], self.total)
        return range(self.chunk_firsts[chunk_no], ends[chunk_no])

    @property
    def expired(self) -> bool:
        """True if its result has expired."""
        return self.expires_at is not None and self.expires_at <= self.read_at


def job_from_record(job_id: str, record: Mapping[str, str], read_at: datetime) -> Job:
    """Build a job from its record in the job store."""
    firsts = tuple(map(int, record["firsts"].split(","))) if record.get("firsts") else ()
    return Job(
        job_id=job_id,
        client=record["client"],
        user=record["user"],
        database=record["database"],
        care_plan=int(record["care_plan"]) if record["care_plan"] else None,
        seq=int(record["seq"]),
        unsettled=record.get("unsettled") == "1",
        state=State(record["state"]),
        total=int(record["total"]),
        counts={name: int(record.get(name) or 0) for name in COUNTS},
        chunk_firsts=firsts,
        body_sha256=record["sha256"],
        strict=record.get("strict") == "1",
        submitted_at=_moment(record, "accepted") or from_epoch_ms(int(record["seq"])),
        started_at=_moment(record, "started"),
        finished_at=_moment(record, "finished"),
        expires_at=_moment(record, "expires"),
        read_at=read_at,
        retried_as=record.get("retried_as"),
        chunks=len(firsts) or int(record.get("chunks") or 0),
        data_key=record.get("data_key", ""),
        traceparent=TraceParent.of(record.get("traceparent", "")),
        dry_run=record.get("dry_run") == "1",
        saw_seq=int(record["saw_seq"]) if record.get("saw_seq") else None,
    )


def _moment(record: Mapping[str, str], name: str) -> datetime | None:
    """Return a moment of a record; older versions stored whole milliseconds."""
    if record.get(f"{name}_us"):
        return from_epoch_us(int(record[f"{name}_us"]))
    return from_epoch_ms(int(record[f"{name}_ms"])) if record.get(f"{name}_ms") else None


def with_body_digest(job: Job, seals: Seals) -> Job:
    """Return a job with the digest of its body; without it if the key that wraps its data key is not configured.

    Raises SealBroken if its record was modified.
    """
    try:
        return replace(job, body_sha256=seals.opened(job.data_key, job.binding).body_sha256 or job.body_sha256)
    except PayloadUnreadable:
        return job
