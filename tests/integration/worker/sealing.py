"""Batches that are sealed as they are admitted, and opened as they are applied."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from tests.builders import items_of
from tests.integration.worker.attempts import SteppedTargets
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkLimits, ChunkRef
from carecase_worker.batches.encryption import UNSEALED, Kind, Seals
from carecase_worker.batches.payloads import unpack_done
from carecase_worker.batches.splitting import ArraySplitter
from carecase_worker.clock import SystemClock, SystemRandom, uuid7
from carecase_worker.store.operations.admission import Admission
from carecase_worker.store.operations.claims import Claimed
from carecase_worker.store.pending_batch import Admissions, Sender
from carecase_worker.worker.attempts.attempt import Applied, Applier

OLD, NEW = bytes(32), bytes(range(32))
SEALS = Seals({"k": NEW})


def admit(store: Stores, body: bytes, seals: Seals = UNSEALED, sender: Sender | None = None) -> Admission:
    """A body, admitted with seals in chunks of ten items."""
    with ThreadPoolExecutor(1) as packers:
        admissions = Admissions(store.batches, ChunkLimits(10, 1 << 20, 1 << 18), 1000, packers, seals)
        draft = admissions.draft(sender or Sender("demo", "demo", "demo", 5), uuid7(SystemClock()))
        draft.add(items_of(body, ArraySplitter()))
        return draft.admit("0" * 64)


def applier_of(store: Stores, targets: SteppedTargets, seals: Seals) -> Applier:
    return Applier(
        leases=store.leases,
        jobs=store.jobs,
        targets=targets,  # type: ignore[arg-type]
        random=SystemRandom(),
        sleep=lambda _: None,
        holder="a holder",
        is_dead=lambda _: False,
        retry_deadline=timedelta(0),  # a day is over
        seals=seals,
    )


def attempt(store: Stores, targets: SteppedTargets, ref: ChunkRef, seals: Seals) -> Applied:
    applier = applier_of(store, targets, seals)
    ((_, claim),) = applier.claim(ref)
    assert claim.lease is not None, claim
    return applier.run(claim.lease, cancel=claim.verdict is Claimed.CANCEL)


def result(store: Stores, ref: ChunkRef, seals: Seals = SEALS) -> Any:
    (packed,) = store.jobs.outcomes(ref.job_id, [ref.chunk_no])
    job = store.jobs.job(ref.job_id)
    assert packed is not None
    return unpack_done(seals.opened(job.data_key, job.binding).key.open(Kind.RESULT, ref, packed))
