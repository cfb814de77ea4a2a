"""Argument and result types of `stage` and `admit`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import assert_never

import msgspec

from carecase_worker.batches.binding import Binding, Mark
from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.clock import from_epoch_ms, from_epoch_us
from carecase_worker.errors import BacklogFull, BatchFault, BatchRefused, StorageFull, StoreUnavailable
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
    """A batch being received: its client, its database, and the bytes and chunks staged so far."""

    job_id: str
    client: str
    database: str
    size: int = 0
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """Storage usage of a client in a database: jobs (open or with a result), and the bytes counted for them."""

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
    """The arguments of `admit` for a staged batch.

    `marks` identify an earlier admission of the same batch; the first one is stored. Without an Idempotency-Key there
    are none. `weight` is the room that its chunk takes in a group, 0 if it must be applied alone. `key_set` is the set
    of its cases' keys, sealed if there is a data key. `webhooks` names those that get its events, see `outbox.lua`. The
    `body_sha256` of a sealed job is stored only with its data key. `traceparent` is the span of the request, if it is
    traced. A dry run has no key set, weight or webhooks.
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
    """Return the job of a batch in its state right after admission."""
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
    """The verdict on a batch, its job, the chunks to notify for, and `whose` storage limit is reached, if one is.

    For a new batch there are also the job in its first state and the throughput of its database.
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
        values = values_of(reply, _AdmissionReply)
        if values.seq is None:
            return cls._of(values, new.job_id)
        accepted_at = from_epoch_us(values.accepted_us)
        job = queued_job(new, values.seq, values.unsettled, accepted_at)
        throughput = Throughput(
            values.open_items, values.items_per_second, accepted_at - from_epoch_ms(values.completed_ms)
        )
        return cls(Admitted.ADMITTED, new.job_id, tuple(map(ChunkRef.of, values.to_notify)), job=job, pace=throughput)

    @classmethod
    def of(cls, reply: bytes, job_id: str) -> "Admission":
        """Return the admission from a reply of `stage`."""
        return cls._of(values_of(reply, _AdmissionReply), job_id)

    @classmethod
    def _of(cls, values: "_AdmissionReply", job_id: str) -> "Admission":
        """Return the admission of a batch that did not become a new job."""
        return cls(Admitted(values.verdict), values.job or job_id, whose=values.whose)


class _AdmissionReply(msgspec.Struct):
    """A reply of `stage` or `admit`; only that for a new job has `seq` and the fields after it."""

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


_WHOSE = {"client": "this client's share", "database": "the share of all clients"}


def require_admitted(admission: Admission) -> Admission:
    """Return the admission if the batch is staged or has a job.

    Raises BatchRefused, BacklogFull, StorageFull or StoreUnavailable.
    """
    match admission.verdict:
        case Admitted.STAGED | Admitted.ADMITTED | Admitted.KNOWN:
            return admission
        case Admitted.REUSED:
            raise BatchRefused(
                BatchFault.KEY_REUSED,
                "This Idempotency-Key was used before, with other items, database, care plan or handling. Use another.",
            )
        case Admitted.FULL:
            raise BacklogFull("Too much accepted work is still open. Send the batch again later.")
        case Admitted.CROWDED:
            raise BacklogFull(
                f"Uploads and open jobs fill {_WHOSE[admission.whose]} of the storage for this database."
                " Send the batch again once some of them have ended."
            )
        case Admitted.USED:
            raise StorageFull(
                f"Jobs and results fill {_WHOSE[admission.whose]} of the storage for this database. Purge final jobs"
                " that are not needed any more (DELETE /jobs/{jobId}?purge=true), or wait until some expire."
            )
        case Admitted.LOST:
            raise StoreUnavailable("the job store lost a part of the batch; send it again")
        case never:
            assert_never(never)
