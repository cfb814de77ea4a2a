"""Retry of a final job: resubmission of its retryable items."""

import hashlib
from collections.abc import Iterator

import msgspec

from carecase_worker.audit.records import Event
from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import Kind, Seals
from carecase_worker.batches.payloads import items_at, unpack, unpack_done
from carecase_worker.errors import CareCaseError, JobConflict, StoreUnavailable
from carecase_worker.intake.access.audit_trail import Audited
from carecase_worker.store.job import Job
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.operations.admission import Admission
from carecase_worker.store.pending_batch import PendingBatch

_CHUNKS_AT_ONCE = 8


def add_retryable_items(store: JobStore, seals: Seals, job: Job, draft: PendingBatch) -> str:
    """Add the retryable items of a job to `draft`, in order; return the digest of their JSON array.

    Of a strict job all items are resubmitted, since it is applied as a whole.

    Raises JobConflict if there are none or the job is not final, PayloadUnreadable if a key is not configured,
    SealBroken if payload or result was modified.
    """
    if not job.state.final:
        raise JobConflict("The job is not final yet. Wait for it, or cancel it first.")
    digest = hashlib.sha256()
    before = b"["
    for items in _items(store, seals, job):
        draft.add(items)
        for item in items:
            digest.update(before + bytes(item))
            before = b","
    if before == b"[":
        raise JobConflict("No item of the job failed for a reason other than its content: there is nothing to retry.")
    digest.update(b"]")
    return digest.hexdigest()


def admitted(audited: Audited, event: Event, database: str, draft: PendingBatch, body_sha256: str) -> Admission:
    """Audit a batch, then admit it. Raises AuditUnavailable, and the errors of `draft.admit`."""
    audited.record(event, database, draft.job_id, draft.total)
    try:
        admission = draft.admit(body_sha256)
    except CareCaseError as error:
        if not isinstance(error, StoreUnavailable):  # then it may have been admitted
            audited.void(database, draft.job_id)
        raise
    if admission.job_id != draft.job_id:
        audited.void(database, draft.job_id)
    return admission


def _items(store: JobStore, seals: Seals, job: Job) -> Iterator[list[msgspec.Raw]]:
    key = seals.opened(job.data_key, job.binding).key
    numbers = range(len(job.chunk_firsts))
    for start in range(0, len(numbers), _CHUNKS_AT_ONCE):
        some = numbers[start : start + _CHUNKS_AT_ONCE]
        stored = zip(some, store.outcomes(job.job_id, some), store.payloads(job.job_id, some), strict=True)
        for number, packed, payload in stored:
            if packed is None or payload is None:
                continue
            ref = ChunkRef(job.job_id, number)
            outcomes = unpack_done(key.open(Kind.RESULT, ref, packed)).outcomes
            places = [place for place, outcome in enumerate(outcomes) if outcome.kind.retryable]
            if job.strict and places:
                places = list(range(len(outcomes)))
            yield items_at(unpack(key.open(Kind.PAYLOAD, ref, payload)), places)
