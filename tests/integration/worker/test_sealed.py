"""A chunk that this worker cannot open waits, and nothing of it is lost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from tests.builders import a_batch, a_case, items_of
from tests.integration.worker.attempts import SteppedTargets

from carecase_worker.cases.batch import ArraySplitter
from carecase_worker.clock import SystemClock, SystemDice, uuid7
from carecase_worker.jobs.admission import Admissions, Sender
from carecase_worker.jobs.chunks import ChunkBounds
from carecase_worker.jobs.job import State
from carecase_worker.jobs.seal import UNSEALED, Seals
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Admission, ChunkRef, Claimed
from carecase_worker.worker.apply import Applied, Applier

OLD, NEW = bytes(32), bytes(range(32))


def admit(store: JobStore, body: bytes, seals: Seals = UNSEALED) -> Admission:
    """A body, admitted with seals in chunks of ten items."""
    with ThreadPoolExecutor(1) as packers:
        admissions = Admissions(store, ChunkBounds(10, 1 << 20, 1 << 18), 1000, packers, seals)
        draft = admissions.draft(Sender("demo", "demo", "demo", None), uuid7(SystemClock()))
        draft.add(items_of(body, ArraySplitter()))
        return draft.admit("0" * 64)


def attempt(store: JobStore, targets: SteppedTargets, ref: ChunkRef, seals: Seals) -> Applied:
    applier = Applier(
        store=store,
        targets=targets,  # type: ignore[arg-type]
        dice=SystemDice(),
        sleep=lambda _: None,
        holder="a holder",
        is_dead=lambda _: False,
        retry_deadline=timedelta(0),  # a day is over
        seals=seals,
    )
    claim = applier.claim(ref)
    assert claim.lease is not None
    return applier.carry_out(claim.lease, cancel=claim.verdict is Claimed.CANCEL)


def test_a_chunk_waits_for_its_key(store: JobStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    targets = SteppedTargets(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    targets.prepare()
    admission = admit(store, a_batch(*(a_case(key) for key in range(25))), Seals({"new": NEW, "old": OLD}))
    for seals in (UNSEALED, Seals({"old": OLD}), Seals({"new": OLD})) * 2:
        for ref in admission.rings:
            assert attempt(store, targets, ref, seals).verdict == "released: unreadable"
    assert store.job(admission.job_id).state is State.WAITING
    printed = "".join(capfd.readouterr())
    assert "chunk waits for a worker that can read it" in printed
    assert "sealed with the key 'new', which is not here; add it to encryption.keys" in printed

    rings = list(admission.rings)
    while rings:
        applied = attempt(store, targets, rings.pop(), Seals({"newest": bytes(reversed(NEW)), "new": NEW}))
        rings += applied.rings
    job = store.job(admission.job_id)
    assert (job.state, job.counts["created"]) == (State.COMPLETED, 25)


def test_a_chunk_from_before_there_were_keys_is_applied_by_a_worker_with_keys(store: JobStore, tmp_path: Path) -> None:
    targets = SteppedTargets(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    targets.prepare()
    admission = admit(store, b'[{"case_Key": 1}]')
    assert attempt(store, targets, admission.rings[0], Seals({"new": NEW})).verdict == "kept"
    assert store.job(admission.job_id).state is State.COMPLETED


def test_a_job_whose_key_is_lost_can_be_cancelled(store: JobStore, tmp_path: Path) -> None:
    targets = SteppedTargets(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    targets.prepare()
    admission = admit(store, a_batch(*(a_case(key) for key in range(3))), Seals({"lost": NEW}))
    assert attempt(store, targets, admission.rings[0], UNSEALED).verdict == "released: unreadable"
    store.cancel(admission.job_id)
    assert attempt(store, targets, admission.rings[0], UNSEALED).verdict == "kept"
    job = store.job(admission.job_id)
    assert (job.state, job.counts["cancelled"]) == (State.CANCELLED, 3)
