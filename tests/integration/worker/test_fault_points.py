"""A process that dies, or a Redis that goes, at any step of an attempt: the next attempt ends as if nothing had."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.integration.targets.grounds import GROUNDS
from tests.integration.worker.attempts import (
    POINTS,
    SteppedStore,
    SteppedTargets,
    attempt,
    attempt_in_a_process,
    away_at,
    dies_at,
    fails_at,
    nothing,
)
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkLimits, ChunkRef
from carecase_worker.batches.payloads import pack, unpack_done
from carecase_worker.cases.outcomes import CREATED
from carecase_worker.errors import FailureKind, StoreUnavailable
from carecase_worker.store.job import State
from carecase_worker.store.operations.claims import Claimed
from carecase_worker.targets.dialects.registry import DIALECTS

CHUNKS = 3


@dataclass
class Batch:
    """An accepted batch of three chunks of two cases, one chunk open at a time."""

    store: Stores
    targets: SteppedTargets
    job_id: str = ""
    to_notify: list[ChunkRef] = field(default_factory=list)

    def accept(self) -> "Batch":
        cases = [a_case(key) for key in range(2 * CHUNKS)]
        chunks = chunks_of(a_batch(*cases), ChunkLimits(2, 1 << 20, 1 << 18))
        new = a_new_job(total=len(cases), chunk_firsts=[chunk.first for chunk in chunks])
        admission = self.store.batches.admit(new, {n: pack(chunk) for n, chunk in enumerate(chunks)})
        self.job_id, self.to_notify = new.job_id, list(admission.to_notify)
        return self

    def finish(self) -> None:
        """Attempt whatever is notified for or overdue, until the job is final."""
        self.targets.step = nothing
        for turn in range(10):
            if self.store.jobs.job(self.job_id).state.final:
                return
            todo = [ChunkRef(self.job_id, n) for n in range(CHUNKS)] if turn else self.to_notify
            for ref in todo:
                attempt(self.store, self.targets, ref, f"finisher {turn} {ref}")
        raise AssertionError("the job did not become final")

    def verify(self) -> None:
        """Everything is there, once."""
        job = self.store.jobs.job(self.job_id)
        assert (job.state, job.counts["created"], job.processed) == (State.COMPLETED, 2 * CHUNKS, 2 * CHUNKS)
        assert self.store.workload.due_count("demo") == 0
        assert self.store.workload.backlog("demo") == (0, 0)
        packed = self.store.jobs.outcomes(self.job_id, range(CHUNKS))
        results = [unpack_done(one) for one in packed if one is not None]
        assert [key for one in results for key in one.keys] == list(range(2 * CHUNKS))
        assert all(outcome == CREATED for one in results for outcome in one.outcomes), "a doubled one would be Updated"
        assert self.targets.rows("SELECT count(*) FROM care_case") == [(2 * CHUNKS,)]
        assert self.targets.rows("SELECT count(*) FROM ingest_ledger") == [(CHUNKS,)]


@pytest.fixture(params=[*DIALECTS])
def batch(request: pytest.FixtureRequest, store: Stores, servers: Services, tmp_path: Path) -> Batch:
    targets = SteppedTargets(GROUNDS[request.param].empty(servers, tmp_path))
    targets.prepare()
    return Batch(store, targets).accept()


@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_any_step_costs_nothing_but_time(batch: Batch, point: str) -> None:
    batch.targets.step = dies_at(point)
    stepped = SteppedStore(batch.store, batch.targets.step)
    assert attempt_in_a_process(stepped, batch.targets, batch.to_notify[0], "victim") == signal.SIGKILL
    batch.finish()
    batch.verify()


@pytest.mark.parametrize("point", [point for point in POINTS if point.split()[1] in ("claim", "complete")])
def test_redis_away_at_any_step_costs_nothing_but_time(batch: Batch, point: str) -> None:
    with pytest.raises(StoreUnavailable):
        attempt(SteppedStore(batch.store, away_at(point)), batch.targets, batch.to_notify[0], "victim", go_on=True)
    batch.finish()
    batch.verify()


def test_redis_away_for_a_short_time_at_the_end_is_waited_for(batch: Batch) -> None:
    store = SteppedStore(batch.store, away_at("before complete", times=3))
    applied = attempt(store, batch.targets, batch.to_notify[0], "worker")
    assert applied.verdict == "kept"
    batch.finish()
    batch.verify()


def test_a_redis_that_hangs_at_the_end_is_not_asked_again(batch: Batch) -> None:
    """Each of twenty calls might hang as long as the first one, and the chunk's lease ends."""
    seconds, calls = [0.0], []

    def hangs(reached: str) -> None:
        if reached == "before complete":
            calls.append(reached)
            seconds[0] += 5.1
            raise StoreUnavailable("away")

    store, first = SteppedStore(batch.store, hangs), batch.to_notify[0]
    with pytest.raises(StoreUnavailable):
        attempt(store, batch.targets, first, "victim", seconds=lambda: seconds[0])
    assert len(calls) == 1
    batch.finish()
    batch.verify()


def test_a_process_goes_on_with_the_chunk_that_it_has_opened(batch: Batch) -> None:
    applied = attempt(batch.store, batch.targets, batch.to_notify[0], "worker", go_on=True)
    ((ref, claim),) = applied.following
    assert (ref, applied.to_notify) == (ChunkRef(batch.job_id, len(batch.to_notify)), ())
    assert claim.lease is not None
    assert batch.store.leases.claim(ref, "another").verdict is Claimed.BUSY
    batch.finish()
    batch.verify()


def test_a_process_that_goes_on_shares_its_time_with_other_jobs(batch: Batch) -> None:
    (other,) = batch.store.batches.admit(a_new_job(), {0: b"payload"}).to_notify
    batch.store.leases.claim(other, "another")
    assert attempt(batch.store, batch.targets, batch.to_notify[0], "worker", go_on=True).shares == 2


def test_an_answer_of_complete_that_is_lost_leaves_nothing_leased_to_nobody(batch: Batch) -> None:
    store = SteppedStore(batch.store, away_at("after complete", times=1))
    applied = attempt(store, batch.targets, batch.to_notify[0], "worker", go_on=True)
    assert (applied.verdict, applied.to_notify) == ("done", ())
    ((ref, claim),) = applied.following
    assert ref == ChunkRef(batch.job_id, len(batch.to_notify))
    assert claim.verdict is Claimed.APPLY
    batch.finish()
    batch.verify()


def test_a_commit_whose_answer_is_lost_is_found_in_the_ledger(
    batch: Batch, elapse: Callable[[timedelta], None]
) -> None:
    batch.targets.step = fails_at("after commit", FailureKind.AWAY)
    applied = attempt(batch.store, batch.targets, batch.to_notify[0], "worker")
    assert (applied.verdict, applied.items) == ("released: away", 0)
    elapse(timedelta(minutes=1))  # the database is tried again
    batch.finish()
    batch.verify()


def test_two_attempts_at_once_make_one(batch: Batch) -> None:
    def second_comes_in_between(reached: str) -> None:
        if reached == "before write":
            batch.targets.step = nothing
            attempt(batch.store, batch.targets, batch.to_notify[0], "second")

    batch.targets.step = second_comes_in_between
    assert attempt(batch.store, batch.targets, batch.to_notify[0], "first").verdict == "done"
    batch.finish()
    batch.verify()


def test_notifications_that_never_notify_notify_twice_or_late_do_no_harm(batch: Batch) -> None:
    first = batch.to_notify[0]
    for holder in ("a", "b"):
        attempt(batch.store, batch.targets, first, holder)
    attempt(batch.store, batch.targets, ChunkRef(batch.job_id, 2), "too early")
    batch.finish()
    assert attempt(batch.store, batch.targets, first, "late").verdict == "done"
    batch.verify()
