"""Dry runs: whatever dies or is exchanged, they write nothing; they wait for no job, and none waits for them."""

import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from tests.builders import a_batch, a_case
from tests.integration.targets.grounds import GROUNDS
from tests.integration.worker.attempts import (
    SteppedStore,
    SteppedTargets,
    attempt,
    attempt_in_a_process,
    dies_at,
    fails_at,
    nothing,
)
from tests.integration.worker.sealing import SEALS, admit, applier_of, result
from tests.integration.worker.sealing import attempt as attempt_sealed
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import UNSEALED
from carecase_worker.cases.outcomes import CANCELLED, UNAVAILABLE, UNCHANGED, UNTRUSTED, WOULD_CREATE, would_update
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.store.job import State
from carecase_worker.store.operations.claims import Claimed
from carecase_worker.store.pending_batch import Sender
from carecase_worker.targets.dialects.registry import DIALECTS

REAL = Sender("demo", "demo", "demo", 5)
DRY = replace(REAL, dry_run=True)

POINTS = (
    "before claim", "after claim", "before write", "before upsert", "after upsert", "after rollback",
    "before complete", "after complete",
)  # fmt: skip


@pytest.fixture(params=[*DIALECTS])
def targets(request: pytest.FixtureRequest, servers: Services, tmp_path: Path) -> SteppedTargets:
    made = SteppedTargets(GROUNDS[request.param].empty(servers, tmp_path))
    made.prepare()
    return made


@pytest.fixture
def file(tmp_path: Path) -> SteppedTargets:
    made = SteppedTargets(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    made.prepare()
    return made


def written(targets: SteppedTargets) -> list[tuple[object, ...]]:
    cases = targets.rows("SELECT case_key, case_id, ingest_version FROM care_case ORDER BY 1")
    return [*cases, *targets.rows("SELECT job_id, chunk_no FROM ingest_ledger ORDER BY 1, 2")]


def some_cases(count: int = 3, **fields: object) -> bytes:
    return a_batch(*(a_case(key, **fields) for key in range(count)))


def finished(store: Stores, targets: SteppedTargets, job_id: str, chunks: int = 1) -> None:
    """Attempt all chunks until the job is final."""
    targets.step = nothing
    for turn in range(10):
        for n in range(chunks):
            attempt(store, targets, ChunkRef(job_id, n), f"finisher {turn} {n}")
        if store.jobs.job(job_id).state.final:
            return
    raise AssertionError("the job did not become final")


@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_any_step_leaves_nothing_in_the_database(store: Stores, targets: SteppedTargets, point: str) -> None:
    real = admit(store, some_cases(2, case_ID="held"), sender=REAL)
    finished(store, targets, real.job_id)
    before = written(targets)
    dry = admit(store, some_cases(12), sender=DRY)
    targets.step = dies_at(point)
    stepped = SteppedStore(store, targets.step)
    assert attempt_in_a_process(stepped, targets, dry.to_notify[0], "victim") == signal.SIGKILL
    assert written(targets) == before
    finished(store, targets, dry.job_id, chunks=2)
    assert written(targets) == before
    job = store.jobs.job(dry.job_id)
    assert (job.state, job.counts["created"], job.counts["updated"]) == (State.COMPLETED, 10, 2)
    first = result(store, ChunkRef(dry.job_id, 0), UNSEALED).outcomes
    assert first == [would_update(("case_ID",))] * 2 + [WOULD_CREATE] * 8


def test_a_notification_that_comes_twice_or_for_a_chunk_that_is_not_there_changes_nothing(
    store: Stores, file: SteppedTargets
) -> None:
    dry = admit(store, some_cases(), sender=DRY)
    ref = ChunkRef(dry.job_id, 0)
    assert [attempt(store, file, one, "a").verdict for one in (ref, ref, ChunkRef(dry.job_id, 1))] == [
        "kept",
        "done",
        "gone",
    ]
    assert written(file) == []


@pytest.mark.parametrize("seals", [UNSEALED, SEALS], ids=["plain", "sealed"])
@pytest.mark.parametrize("sender", [DRY, REAL], ids=["dry run", "real run"])
def test_a_job_whose_mode_was_changed_in_redis_writes_no_case(
    servers: Services, store: Stores, file: SteppedTargets, seals: object, sender: Sender
) -> None:
    sealed = SEALS if seals is SEALS else UNSEALED
    store.leases.settle("demo", 0)
    job = admit(store, some_cases(), sealed, sender)
    client = redis.Redis.from_url(servers.redis_url)
    client.hset(store.keys.job(job.job_id), "dry_run", "0" if sender.dry_run else "1")
    assert attempt_sealed(store, file, ChunkRef(job.job_id, 0), sealed).verdict == "kept"
    assert file.rows("SELECT case_key FROM care_case") == []
    (packed,) = store.jobs.outcomes(job.job_id, [0])
    assert packed is not None
    assert store.jobs.job(job.job_id).counts["failed"] == 3
    if sealed is UNSEALED:
        assert result(store, ChunkRef(job.job_id, 0), UNSEALED).outcomes == [UNTRUSTED] * 3


def test_a_sealed_dry_run_is_a_dry_run(store: Stores, file: SteppedTargets) -> None:
    dry = admit(store, some_cases(), SEALS, DRY)
    assert attempt_sealed(store, file, ChunkRef(dry.job_id, 0), SEALS).verdict == "kept"
    assert result(store, ChunkRef(dry.job_id, 0)).outcomes == [WOULD_CREATE] * 3
    assert written(file) == []


def test_a_dry_run_that_is_cancelled_leaves_no_tombstone_and_asks_no_database(
    store: Stores, file: SteppedTargets
) -> None:
    dry = admit(store, some_cases(), sender=DRY)
    store.jobs.cancel(dry.job_id)

    def away(_: str) -> None:
        raise TargetFailure(FailureKind.AWAY)

    file.step = away
    assert attempt(store, file, ChunkRef(dry.job_id, 0), "a").verdict == "kept"
    assert result(store, ChunkRef(dry.job_id, 0), UNSEALED).outcomes == [CANCELLED] * 3
    assert store.jobs.job(dry.job_id).state is State.CANCELLED
    assert written(file) == []


def test_a_dry_run_whose_database_stays_away_is_given_up_without_a_tombstone(
    store: Stores, file: SteppedTargets
) -> None:
    dry = admit(store, some_cases(), sender=DRY)

    file.step = fails_at("before write", FailureKind.AWAY)
    applier = applier_of(store, file, UNSEALED)
    ((_, claim),) = applier.claim(ChunkRef(dry.job_id, 0))
    assert claim.lease is not None
    late = replace(claim.lease, history=replace(claim.lease.history, failing_for=timedelta(days=1)))
    assert applier.run(late, cancel=False).verdict == "kept"
    assert result(store, ChunkRef(dry.job_id, 0), UNSEALED).outcomes == [UNAVAILABLE] * 3
    assert written(file) == []


def test_it_waits_for_no_job_and_no_job_waits_for_it(store: Stores, file: SteppedTargets) -> None:
    """Of several care plans, and of the same cases: real jobs would be placed one after the other."""
    store.leases.settle("demo", 0)
    first = admit(store, some_cases(), sender=REAL)
    dry = [admit(store, some_cases(carePlan_Key=plan), sender=replace(DRY, care_plan=plan)) for plan in (6, 7)]
    for one in dry:
        assert attempt(store, file, ChunkRef(one.job_id, 0), "a").verdict == "kept"
        assert result(store, ChunkRef(one.job_id, 0), UNSEALED).outcomes == [WOULD_CREATE] * 3
    open_dry = admit(store, some_cases(carePlan_Key=7), sender=replace(DRY, care_plan=7))
    assert attempt(store, file, ChunkRef(first.job_id, 0), "a").verdict == "kept"
    second = admit(store, some_cases(carePlan_Key=6), sender=replace(REAL, care_plan=6))
    assert store.leases.claim(ChunkRef(second.job_id, 0), "b").verdict is Claimed.APPLY
    assert not store.jobs.job(open_dry.job_id).state.final


def test_it_says_up_to_which_job_it_has_seen_all(store: Stores, file: SteppedTargets) -> None:
    store.leases.settle("demo", 0)
    assert saw(store, file) == 0
    first, second = (admit(store, some_cases(1), sender=REAL) for _ in range(2))
    seqs = [store.jobs.job(one.job_id).seq for one in (first, second)]
    assert saw(store, file) == seqs[0] - 1
    attempt(store, file, ChunkRef(second.job_id, 0), "a")
    finished(store, file, first.job_id)
    assert store.jobs.job(second.job_id).state.final
    assert saw(store, file) == seqs[1]
    assert attempt(store, file, ChunkRef(admit(store, some_cases(1), sender=DRY).job_id, 0), "b").verdict == "kept"
    assert admit(store, some_cases(1), sender=REAL).job_id  # a dry run leaves no place out
    later = admit(store, some_cases(11), sender=DRY)
    attempt(store, file, ChunkRef(later.job_id, 0), "a")
    third = store.jobs.job(later.job_id).saw_seq
    finished(store, file, later.job_id, chunks=2)
    assert store.jobs.job(later.job_id).saw_seq == third


def saw(store: Stores, targets: SteppedTargets) -> int | None:
    """The outcomes of a dry run that is made now."""
    dry = admit(store, some_cases(1), sender=DRY)
    attempt(store, targets, ChunkRef(dry.job_id, 0), "dry")
    job = store.jobs.job(dry.job_id)
    assert (job.seq, job.state) == (0, State.COMPLETED)
    return job.saw_seq


def test_small_dry_runs_do_not_go_with_others_in_one_transaction(store: Stores, file: SteppedTargets) -> None:
    store.leases.settle("demo", 0)
    some = [admit(store, some_cases(2), sender=sender) for sender in (REAL, DRY, REAL, DRY)]
    claims = store.leases.claim_group(ChunkRef(some[0].job_id, 0), "a")
    assert [ref.job_id for ref, _ in claims] == [some[0].job_id, some[2].job_id]
    for dry in (some[1], some[3]):
        assert len(store.leases.claim_group(ChunkRef(dry.job_id, 0), dry.job_id)) == 1


def test_items_of_dry_runs_are_counted_apart(store: Stores, file: SteppedTargets) -> None:
    dry = admit(store, some_cases(3), sender=DRY)
    attempt(store, file, ChunkRef(dry.job_id, 0), "a")
    assert store.workload.stats() == {("demo", "dry_run"): 3}
    assert store.workload.backlog("demo") == (0, 0)
    assert store.workload.pace("demo").open_items == 0


def test_an_unchanged_case_counts_as_updated(store: Stores, file: SteppedTargets) -> None:
    finished(store, file, admit(store, some_cases(2), sender=REAL).job_id)
    dry = admit(store, some_cases(2), sender=DRY)
    finished(store, file, dry.job_id)
    assert result(store, ChunkRef(dry.job_id, 0), UNSEALED).outcomes == [UNCHANGED] * 2
    assert store.jobs.job(dry.job_id).counts["updated"] == 2
