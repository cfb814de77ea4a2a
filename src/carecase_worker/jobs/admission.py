"""A batch becomes a job: cut into chunks, staged, admitted at one stroke."""

from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

from carecase_worker.cases.batch import Items
from carecase_worker.clock import Clock
from carecase_worker.errors import BacklogFull, BatchFault, BatchRefused, StoreUnavailable
from carecase_worker.jobs.chunks import ChunkBounds, cut, pack
from carecase_worker.jobs.idempotency import fingerprint
from carecase_worker.jobs.seal import UNSEALED, Seals
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Admission, Admitted, ChunkRef, NewJob

_STAGE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """An accepted request: who sends what where, its items not looked into."""

    client: str
    user: str
    database: str
    care_plan: int | None
    items: Items
    body_sha256: str
    idempotency_key: str | None = None


class Admissions:
    """Admits batches to the job store."""

    def __init__(self, store: JobStore, bounds: ChunkBounds, clock: Clock, seals: Seals = UNSEALED) -> None:
        self._store = store
        self._bounds = bounds
        self._clock = clock
        self.seals = seals

    def admit(self, batch: Batch, job_id: UUID) -> Admission:
        """The job that stands for a batch: a new one, or the one that its Idempotency-Key gave before.

        Holds at most a megabyte of chunks at a time. Raises BatchRefused or BacklogFull, and then nothing of the
        batch is kept; or StoreUnavailable, and then the batch may have been admitted: the same Idempotency-Key tells.
        """
        try:
            return self._admit(batch, str(job_id))
        except (BatchRefused, BacklogFull):
            self._store.discard(str(job_id))
            raise

    def _admit(self, batch: Batch, name: str) -> Admission:
        staged: dict[int, bytes] = {}
        firsts: list[int] = []
        payload_bytes = waiting_bytes = 0
        for chunk in cut(batch.items, self._bounds):
            if waiting_bytes >= _STAGE_BYTES:
                self._store.stage(name, staged)
                staged, waiting_bytes = {}, 0
            payload = self.seals.seal(pack(chunk), ChunkRef(name, len(firsts)), chunk.count)
            staged[len(firsts)] = payload
            firsts.append(chunk.first)
            payload_bytes += len(payload)
            waiting_bytes += len(payload)
        new = NewJob(
            job_id=name,
            client=batch.client,
            user=batch.user,
            database=batch.database,
            care_plan=batch.care_plan,
            total=len(batch.items),
            chunk_firsts=firsts,
            payload_bytes=payload_bytes,
            body_sha256=batch.body_sha256,
            fingerprint=fingerprint(batch.database, batch.care_plan, batch.body_sha256),
            idempotency_key=batch.idempotency_key,
        )
        return _accepted(self._store.admit(new, staged, self._clock.now()))


def _accepted(admission: Admission) -> Admission:
    match admission.verdict:
        case Admitted.ADMITTED | Admitted.KNOWN:
            return admission
        case Admitted.REUSED:
            raise BatchRefused(
                BatchFault.KEY_REUSED,
                "This Idempotency-Key came with another batch before. Use a new key for a new batch.",
            )
        case Admitted.FULL:
            raise BacklogFull("Too much accepted work is still open. Send the batch again later.")
        case Admitted.LOST:
            raise StoreUnavailable("the job store lost a part of the batch; send it again")
        case never:
            assert_never(never)
