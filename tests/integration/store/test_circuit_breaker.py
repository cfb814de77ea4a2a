"""Retries, and the circuit breaker that leaves a database alone while it is away."""

from datetime import timedelta

import pytest
from tests.integration.store.jobs import DAY, LEASE, MINUTE, SECOND, Elapse, admitted, complete, lease_of
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.store.job import State
from carecase_worker.store.operations.claims import (
    ChunkResult,
    Claimed,
    History,
    RetryLater,
)


def test_while_the_circuit_is_open_no_chunk_of_the_database_is_tried(store: Stores, elapse: Elapse) -> None:
    new, (ref, other) = admitted(store, chunks=2)
    store.leases.claim(ref, "w:1")
    store.leases.release([ref], "w:1", RetryLater(3 * SECOND, open_circuit=timedelta(seconds=60)))
    assert store.jobs.job(new.job_id).state is State.WAITING
    assert store.leases.claim(other, "w:1").verdict is Claimed.CIRCUIT_OPEN
    elapse(30 * SECOND)
    assert store.leases.overdue("demo", 0) == ()


def test_a_failed_chunk_is_tried_again_when_its_delay_is_over_and_not_before(store: Stores, elapse: Elapse) -> None:
    new, (ref,) = admitted(store)
    store.leases.claim(ref, "w:1")
    store.leases.release([ref], "w:1", RetryLater(30 * SECOND))
    elapse(20 * SECOND)
    assert store.leases.overdue("demo", 0) == ()
    elapse(10 * SECOND)
    assert store.leases.overdue("demo", 0) == (ref,)
    lease = store.leases.claim(ref, "w:2").lease
    assert lease is not None
    assert lease.history == History(releases=1, failing_for=lease.history.failing_for)
    assert 30 * SECOND <= lease.history.failing_for < 40 * SECOND
    assert store.jobs.job(new.job_id).state is State.RUNNING


def test_one_attempt_at_a_time_probes_a_database_and_all_go_on_once_it_is_back(store: Stores, elapse: Elapse) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    store.leases.claim(ref, "w:1")
    store.leases.release([ref], "w:1", RetryLater(SECOND, open_circuit=timedelta(milliseconds=1)))
    elapse(11 * SECOND)
    probe = store.leases.claim(ref, "w:1").lease
    assert probe is not None
    assert probe.history == History(releases=1, failures=1, failing_for=probe.history.failing_for)
    assert store.leases.claim(other, "w:2").verdict is Claimed.CIRCUIT_OPEN
    assert store.leases.overdue("demo", 0) == (), "nobody notifies while one finds out"
    complete(store, ref)
    assert store.leases.overdue("demo", 0) == (other,), "and all at once when it is back"
    lease = store.leases.claim(other, "w:2").lease
    assert lease is not None
    assert lease.history == History()


def test_a_probe_of_a_process_that_dies_is_taken_over(store: Stores, elapse: Elapse) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    store.leases.claim(ref, "w:1")
    store.leases.release([ref], "w:1", RetryLater(SECOND, open_circuit=timedelta(milliseconds=1)))
    elapse(timedelta(milliseconds=20))
    store.leases.claim(ref, "w:1")
    assert store.leases.claim(other, "w:2").verdict is Claimed.CIRCUIT_OPEN
    assert store.leases.claim(ref, "w:2").verdict is Claimed.BUSY
    store.leases.reclaim("w:1")
    assert store.leases.claim(ref, "w:2").verdict is Claimed.APPLY


def test_a_database_that_answers_a_probe_is_used_by_all_again(store: Stores, elapse: Elapse) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    store.leases.claim(ref, "w:1")
    store.leases.release([ref], "w:1", RetryLater(SECOND, open_circuit=timedelta(milliseconds=1)))
    elapse(timedelta(milliseconds=20))
    store.leases.claim(ref, "w:1")
    store.leases.release([ref], "w:1", RetryLater(SECOND, counts_toward_deadline=False))
    assert store.leases.claim(other, "w:2").verdict is Claimed.APPLY


def failing_for(store: Stores, ref: ChunkRef) -> timedelta:
    """Attempt a chunk in vain; for how long its database has been failing its job by then."""
    lease = lease_of(store, ref)
    store.leases.release([ref], "w", RetryLater(SECOND))
    return lease.history.failing_for


def test_time_in_which_nobody_tried_does_not_use_up_the_retry_deadline(store: Stores, elapse: Elapse) -> None:
    _, (ref,) = admitted(store)
    assert failing_for(store, ref) == timedelta(0)
    elapse(2 * DAY)
    stopped = failing_for(store, ref)
    assert stopped == 10 * LEASE, "no two attempts lie that far apart"
    elapse(MINUTE)
    assert stopped + MINUTE <= failing_for(store, ref) < stopped + 2 * MINUTE


def test_the_retry_deadline_comes_also_if_workers_are_stopped_now_and_then(store: Stores, elapse: Elapse) -> None:
    _, (ref,) = admitted(store)
    failing_for(store, ref)
    for number in range(1, 20):
        elapse(2 * DAY if number % 5 == 0 else 2 * MINUTE)
        assert failing_for(store, ref) >= number * 2 * MINUTE


@pytest.mark.parametrize("ends", ["released", "given up"])
def test_the_retry_deadline_runs_while_only_other_jobs_of_the_database_are_tried(
    store: Stores, elapse: Elapse, ends: str
) -> None:
    """One at a time probes a database that is away, so that each of many jobs is tried rarely."""
    _, (ref,) = admitted(store)
    others = [ref for _, (ref,) in (admitted(store) for _ in range(5))]
    failing_for(store, ref)
    for other in others:
        elapse(2 * MINUTE)
        if ends == "released":
            failing_for(store, other)
        else:
            lease_of(store, other)
            store.leases.complete(other, ChunkResult(b"given up", {"failed": 1}, database_answered=False))
    assert failing_for(store, ref) >= len(others) * 2 * MINUTE


def test_a_chunk_that_nobody_can_read_does_not_use_up_the_retry_deadline(store: Stores, elapse: Elapse) -> None:
    _, (ref,) = admitted(store)
    store.leases.claim(ref, "w:1")
    store.leases.release([ref], "w:1", RetryLater(SECOND, counts_toward_deadline=False))
    elapse(SECOND)
    lease = store.leases.claim(ref, "w:1").lease
    assert lease is not None
    assert lease.history.failing_for == timedelta(0)


def test_faults_are_counted_apart_from_outages(store: Stores) -> None:
    _, (ref,) = admitted(store)
    for unexplained in (True, False, True):
        store.leases.claim(ref, "w:1")
        store.leases.release([ref], "w:1", RetryLater(SECOND, unexplained=unexplained))
    lease = store.leases.claim(ref, "w:1").lease
    assert lease is not None
    assert (lease.history.releases, lease.history.faults) == (3, 2)


def test_a_database_that_fails_its_chunks_is_reported_until_it_answers(store: Stores, elapse: Elapse) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    assert store.workload.trouble("demo") is None
    for reason in ("too-slow", "away"):
        store.leases.claim(ref, "w:1")
        store.leases.release([ref], "w:1", RetryLater(SECOND, open_circuit=timedelta(milliseconds=1), reason=reason))
        elapse(10 * SECOND)
    trouble = store.workload.trouble("demo")
    assert trouble is not None
    assert trouble.reason == "away"
    assert 20 * SECOND <= trouble.lasting < 30 * SECOND
    assert store.workload.trouble("other") is None
    complete(store, other)
    assert store.workload.trouble("demo") is None


def test_a_database_without_open_chunks_is_not_reported_as_failing(store: Stores) -> None:
    _, (ref,) = admitted(store)
    store.leases.claim(ref, "w:1")
    store.leases.release([ref], "w:1", RetryLater(SECOND, open_circuit=timedelta(milliseconds=1), reason="away"))
    assert store.workload.trouble("demo") is not None
    store.leases.complete(ref, ChunkResult(b"given up", {"failed": 1}, database_answered=False))
    assert store.workload.trouble("demo") is None, "nobody will find out whether it is back"
