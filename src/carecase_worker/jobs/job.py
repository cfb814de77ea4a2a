"""A job: its states, the moves between them, and its record."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from carecase_worker.clock import from_epoch_ms


class State(Enum):
    """Where a job stands; the names are the contract's."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the job stays in it for ever."""
        return self in (State.COMPLETED, State.CANCELLED)


class Verb(Enum):
    """What can move a job."""

    CLAIM = "claim"
    COMPLETE = "complete"
    RELEASE = "release"
    CANCEL = "cancel"


MOVES: Mapping[tuple[State, Verb], frozenset[State]] = {
    (State.QUEUED, Verb.CLAIM): frozenset({State.RUNNING, State.WAITING}),
    (State.QUEUED, Verb.COMPLETE): frozenset({State.RUNNING, State.COMPLETED}),
    (State.QUEUED, Verb.CANCEL): frozenset({State.CANCELLING}),
    (State.RUNNING, Verb.CLAIM): frozenset({State.RUNNING, State.WAITING}),
    (State.RUNNING, Verb.COMPLETE): frozenset({State.RUNNING, State.COMPLETED}),
    (State.RUNNING, Verb.RELEASE): frozenset({State.WAITING}),
    (State.RUNNING, Verb.CANCEL): frozenset({State.CANCELLING}),
    (State.WAITING, Verb.CLAIM): frozenset({State.RUNNING, State.WAITING}),
    (State.WAITING, Verb.COMPLETE): frozenset({State.RUNNING, State.COMPLETED}),
    (State.WAITING, Verb.RELEASE): frozenset({State.WAITING}),
    (State.WAITING, Verb.CANCEL): frozenset({State.CANCELLING}),
    (State.CANCELLING, Verb.CLAIM): frozenset({State.CANCELLING}),
    (State.CANCELLING, Verb.COMPLETE): frozenset({State.CANCELLING, State.COMPLETED, State.CANCELLED}),
    (State.CANCELLING, Verb.RELEASE): frozenset({State.CANCELLING}),
    (State.CANCELLING, Verb.CANCEL): frozenset({State.CANCELLING}),
}
"""Every move a verb may make. What is not here stays where it is: nothing leaves a final state."""

COUNTS = ("created", "updated", "superseded", "failed", "cancelled")


LISTED = (
    "state", "client", "user", "database", "care_plan", "seq", "total", *COUNTS, "sha256", "started_ms", "finished_ms",
    "expires_ms",
)  # fmt: skip
"""The fields of a record that a list of jobs tells of; the chunks are not among them."""


@dataclass(frozen=True, slots=True)
class Job:
    """The record of one accepted batch."""

    job_id: str
    client: str
    user: str
    database: str
    care_plan: int | None
    seq: int
    state: State
    total: int
    counts: Mapping[str, int]
    chunk_firsts: tuple[int, ...]
    body_sha256: str
    strict: bool
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None

    @property
    def submitted_at(self) -> datetime:
        """When the batch was accepted: unique among the batches of a database, and in the order of acceptance."""
        return from_epoch_ms(self.seq)

    @property
    def processed(self) -> int:
        """Items that have an outcome."""
        return sum(self.counts.values())

    def places_of(self, chunk_no: int) -> range:
        """The places in the batch of a chunk's items."""
        ends = (*self.chunk_firsts[1:], self.total)
        return range(self.chunk_firsts[chunk_no], ends[chunk_no])

    def expired(self, now: datetime) -> bool:
        """Whether its result has been dropped."""
        return self.expires_at is not None and self.expires_at <= now


def job_from_record(job_id: str, record: Mapping[str, str]) -> Job:
    """The job that a record of the job store describes."""
    return Job(
        job_id=job_id,
        client=record["client"],
        user=record["user"],
        database=record["database"],
        care_plan=int(record["care_plan"]) if record["care_plan"] else None,
        seq=int(record["seq"]),
        state=State(record["state"]),
        total=int(record["total"]),
        counts={name: int(record.get(name) or 0) for name in COUNTS},
        chunk_firsts=tuple(map(int, record["firsts"].split(","))) if record.get("firsts") else (),
        body_sha256=record["sha256"],
        strict=record.get("strict") == "1",
        started_at=_moment(record, "started_ms"),
        finished_at=_moment(record, "finished_ms"),
        expires_at=_moment(record, "expires_ms"),
    )


def _moment(record: Mapping[str, str], name: str) -> datetime | None:
    return from_epoch_ms(int(record[name])) if record.get(name) else None
