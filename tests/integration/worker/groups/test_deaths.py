"""A process that dies, or a Redis that goes, costs a group nothing but time."""

import signal

import pytest
from tests.builders import a_case
from tests.integration.worker.attempts import (
    POINTS,
    SteppedStore,
    attempt,
    attempt_in_a_process,
    away_at,
    dies_at,
    nothing,
)
from tests.integration.worker.groups.small_batches import Accepted

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.cases.outcomes import (
    CREATED,
    UPDATED,
)
from carecase_worker.errors import StoreUnavailable
from carecase_worker.store.job import State


@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_any_step_costs_nothing_but_time(accepted: Accepted, point: str) -> None:
    for key in range(4):
        accepted.accept(a_case(key))
    accepted.targets.step = dies_at(point)
    stepped = SteppedStore(accepted.store, accepted.targets.step)
    first = ChunkRef(accepted.jobs[0], 0)
    assert attempt_in_a_process(stepped, accepted.targets, first, "victim") == signal.SIGKILL
    reclaimed = accepted.store.leases.reclaim("victim")
    assert len(reclaimed) == (0 if point in ("before claim", "after complete") else 4)
    accepted.finish()
    assert [accepted.outcomes_of(job) for job in accepted.jobs] == [[CREATED]] * 4, "a doubled one would be Updated"
    assert (accepted.count("care_case"), accepted.count("ingest_ledger")) == (4, 4)
    assert accepted.store.leases.holders() == []


@pytest.mark.parametrize("point", ["before claim", "after claim", "before complete", "after complete"])
def test_redis_away_at_any_step_costs_nothing_but_time(accepted: Accepted, point: str) -> None:
    for key in range(3):
        accepted.accept(a_case(key))
    first = ChunkRef(accepted.jobs[0], 0)
    with pytest.raises(StoreUnavailable):
        attempt(SteppedStore(accepted.store, away_at(point)), accepted.targets, first, "victim", go_on=True)
    accepted.finish()
    assert [accepted.outcomes_of(job) for job in accepted.jobs] == [[CREATED]] * 3


def test_an_answer_of_complete_that_is_lost_leaves_nothing_leased_to_nobody(accepted: Accepted) -> None:
    for key in range(4):
        accepted.accept(a_case(key), weight=400)
    store = SteppedStore(accepted.store, away_at("after complete", times=1))
    applied = attempt(store, accepted.targets, ChunkRef(accepted.jobs[0], 0), "worker", go_on=True)
    assert applied.verdict == "done"
    assert {ref.job_id for ref, _ in applied.following} == set(accepted.jobs[2:])


def test_after_a_death_each_batch_goes_alone_and_the_poisonous_one_harms_only_itself(accepted: Accepted) -> None:
    for key in range(3):
        accepted.accept(a_case(key))
    for number in (1, 0, 2):
        accepted.targets.step = dies_at("case 1")
        ref = ChunkRef(accepted.jobs[number], 0)
        attempt_in_a_process(SteppedStore(accepted.store, nothing), accepted.targets, ref, f"victim {number}")
        accepted.store.leases.reclaim(f"victim {number}")
    states = [accepted.store.jobs.job(job).state for job in accepted.jobs]
    assert states == [State.COMPLETED, State.RUNNING, State.COMPLETED]
    assert accepted.outcomes_of(accepted.jobs[0]) == accepted.outcomes_of(accepted.jobs[2]) == [CREATED]


def test_a_batch_that_was_written_before_is_answered_from_the_ledger(accepted: Accepted) -> None:
    """Its answer was lost, as that of the whole group it was in; another batch has come since."""
    accepted.accept(a_case(1))
    accepted.targets.step = dies_at("before complete")
    stepped = SteppedStore(accepted.store, accepted.targets.step)
    attempt_in_a_process(stepped, accepted.targets, ChunkRef(accepted.jobs[0], 0), "victim")
    accepted.targets.step = nothing
    accepted.store.leases.reclaim("victim")
    for key in (1, 2):
        accepted.accept(a_case(key))
    accepted.attempt("worker", 1)
    accepted.finish()
    assert [accepted.outcomes_of(job) for job in accepted.jobs] == [[CREATED], [UPDATED], [CREATED]]
