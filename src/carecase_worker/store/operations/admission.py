"""Argument and result types of `stage` and `admit`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import msgspec

from carecase_worker.batches.binding import Binding
from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.fingerprint import Mark
from carecase_worker.clock import from_epoch_ms, from_epoch_us
from carecase_worker.store.job import COUNTS, Job, State
from carecase_worker.store.operations.throughput import Throughput
from carecase_worker.store.scripts import values_of
from carecase_worker.traceparent import TraceParent


class Admitted(Enum):
    """Verdicts of `stage` and `admit`."""

    STAGED = "staged"
    ADMITTED = "admitted"
    KNOWN = "known"
    REUSED = "reused"
    FULL = "full"
    USED = "used"
    CROWDED = "crowded"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Staging:
    """A batch that is coming in: its client, its database, and the bytes and chunks of it that are staged."""

    job_id: str
    client: str
    database: str
    size: int = 0
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """Usage of a client in a database: jobs, open or with a result, and the bytes counted for all of it."""

    jobs: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class JobSeal:
    """The seal of a new job: its wrapped data key, and the two blocks with which `admit` signs its place in order."""

    data_key: str
    inner: bytes
    outer: bytes


NOT_SEALED = JobSeal("", b"", b"")


@dataclass(frozen=True, slots=True)
class NewJob:
    """A staged batch, described for `admit`.

    `marks` are those by which the batch may have come before; the first one is kept. Without an Idempotency-Key there
    are none. `weight` is the room that its chunk takes in a group, 0 if it is to be applied alone. `key_set` is the set
    of its cases' keys, as it may lie in Redis. `webhooks` names those that are told of it, see `outbox.lua`. The
    `body_sha256` of a sealed job is kept with its data key only. `traceparent` is the span of the request in a trace,
    if there is one. A dry run has no key set, weight or webhooks.
    """

    job_id: str
    client: str
    user: str
    database: str
    care_plan: int | None
    total: int
    chunk_firsts: Sequence[int]
    payload_bytes: int
    body_sha256: str
    marks: Sequence[Mark] = ()
    strict: bool = False
    dry_run: bool = False
    retry_of: str = ""
    seal: JobSeal = NOT_SEALED
    weight: int = 0
    key_set: bytes = b""
    webhooks: str = ""
    traceparent: TraceParent | None = None

    @property
    def binding(self) -> Binding:
        """The facts that its data key is bound to."""
        return Binding.of(self, self.job_id, len(self.chunk_firsts))


def queued_job(new: NewJob, seq: int, unsettled: bool, accepted_at: datetime) -> Job:
    """Return the job of a batch as it is at the moment of its admission."""
    return Job(
        job_id=new.job_id,
        client=new.client,
        user=new.user,
        database=new.database,
        care_plan=new.care_plan,
        seq=seq,
        unsettled=unsettled,
        state=State.QUEUED,
        total=new.total,
        counts=dict.fromkeys(COUNTS, 0),
        chunk_firsts=tuple(new.chunk_firsts),
        body_sha256=new.body_sha256,
        strict=new.strict,
        dry_run=new.dry_run,
        submitted_at=accepted_at,
        started_at=None,
        finished_at=None,
        expires_at=None,
        read_at=accepted_at,
        chunks=len(new.chunk_firsts),
        data_key=new.seal.data_key,
        traceparent=new.traceparent,
    )


@dataclass(frozen=True, slots=True)
class Admission:
    """The verdict on a batch, the job that stands for it, the chunks to notify for, and `whose` share is full, if so.

    A batch that was not known before also has its job as it is at this moment, and the pace of its database.
    """

    verdict: Admitted
    job_id: str
    to_notify: tuple[ChunkRef, ...] = ()
    whose: str = ""
    job: Job | None = None
    pace: Throughput | None = None

    @classmethod
    def of_new(cls, reply: bytes, new: NewJob) -> "Admission":
        """Return the admission from a reply of `admit`."""
        told = values_of(reply, _AdmissionReply)
        if told.seq is None:
            return cls._of(told, new.job_id)
        accepted_at = from_epoch_us(told.accepted_us)
        job = queued_job(new, told.seq, told.unsettled, accepted_at)
        throughput = Throughput(told.open_items, told.items_per_second, accepted_at - from_epoch_ms(told.completed_ms))
        return cls(Admitted.ADMITTED, new.job_id, tuple(map(ChunkRef.of, told.to_notify)), job=job, pace=throughput)

    @classmethod
    def of(cls, reply: bytes, job_id: str) -> "Admission":
        """Return the admission from a reply of `stage`."""
        return cls._of(values_of(reply, _AdmissionReply), job_id)

    @classmethod
    def _of(cls, told: "_AdmissionReply", job_id: str) -> "Admission":
        """Return the admission of a batch that is no new job."""
        return cls(Admitted(told.verdict), told.job or job_id, whose=told.whose)


class _AdmissionReply(msgspec.Struct):
    """A reply of `stage` or `admit`; `seq` and what comes after it is there only of a new job."""

    verdict: str
    job: str = ""
    whose: str = ""
    seq: int | None = None
    accepted_us: int = 0
    unsettled: bool = False
    open_items: int = 0
    items_per_second: int = 0
    completed_ms: int = 0
    to_notify: list[str] = []
