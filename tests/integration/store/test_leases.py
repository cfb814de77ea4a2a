"""Leases: who may apply a chunk, for how long, and who takes it over."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.builders import a_new_job
from tests.integration.store.jobs import DAY, LEASE, SECOND, Elapse, admitted, complete, lease_of
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.store.job import Cancelled, State
from carecase_worker.store.operations.claims import (
    ChunkResult,
    Claimed,
    Completed,
    Completion,
    History,
    RetryLater,
)
from carecase_worker.traceparent import TraceParent


def test_a_claim_has_all_that_applying_needs_and_the_job_is_running(store: Stores) -> None:
    new, (ref,) = admitted(store, care_plan=-7, user="ann")
    before = datetime.now(UTC)
    lease = store.leases.claim(ref, "w:1").lease
    assert lease is not None
    assert (lease.payload, lease.database, lease.care_plan, lease.user) == (b"payload 0", "demo", -7, "ann")
    job = store.jobs.job(new.job_id)
    assert job.state is State.RUNNING
    assert job.started_at is not None
    assert job.submitted_at < before <= job.started_at <= datetime.now(UTC)
    assert (lease.seq, lease.accepted_at, lease.history) == (job.seq, job.submitted_at, History())


@pytest.mark.parametrize("sampled", [True, False])
def test_the_traceparent_of_a_request_comes_back_with_each_claim_and_with_the_job(store: Stores, sampled: bool) -> None:
    sent = TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled)
    new, refs = admitted(store, 2, traceparent=sent)
    untraced, [other] = admitted(store)
    assert [lease_of(store, ref).traceparent for ref in (*refs, other)] == [sent, sent, None]
    assert (store.jobs.job(new.job_id).traceparent, store.jobs.job(untraced.job_id).traceparent) == (sent, None)


def test_a_leased_chunk_is_busy_until_the_lease_expires_or_its_holder_dies(store: Stores, elapse: Elapse) -> None:
    _, (ref,) = admitted(store)
    store.leases.claim(ref, "w:1")
    elapse(LEASE - 5 * SECOND)
    busy = store.leases.claim(ref, "w:2")
    assert (busy.verdict, busy.holder) == (Claimed.BUSY, "w:1")
    assert store.leases.reclaim("w:1") == [("demo", ref)]
    assert store.leases.overdue("demo", 0) == (ref,), "it is due at once"
    assert store.leases.reclaim("w:1") == [], "a process dies once"
    after_death = store.leases.claim(ref, "w:2")
    assert after_death.lease is not None
    assert after_death.lease.history.deaths == 1
    elapse(LEASE)
    after_expiry = store.leases.claim(ref, "w:3")
    assert after_expiry.lease is not None
    assert after_expiry.lease.history.deaths == 2


def test_of_two_outcomes_of_a_chunk_the_first_stands(store: Stores) -> None:
    new, (ref,) = admitted(store)
    store.leases.claim(ref, "w:1")
    complete(store, ref, created=1)
    assert store.leases.complete(ref, ChunkResult(b"another", {"failed": 1})) == Completion((Completed.DONE,))
    assert store.jobs.outcomes(new.job_id, [0]) == [b"outcome"]
    assert store.jobs.job(new.job_id).counts == {
        "created": 1,
        "updated": 0,
        "superseded": 0,
        "failed": 0,
        "cancelled": 0,
    }
    assert store.leases.claim(ref, "w:1").verdict is Claimed.DONE


def test_the_holders_are_the_processes_whose_leases_are_valid(store: Stores, elapse: Elapse) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    assert store.leases.holders() == []
    store.leases.claim(ref, "w:1")
    store.leases.claim(other, "w:2")
    assert sorted(store.leases.holders()) == ["w:1", "w:2"]
    complete(store, ref)
    store.leases.release([other], "w:2", RetryLater(SECOND))
    assert store.leases.holders() == []
    assert store.leases.reclaim("w:1") == [], "it held nothing when it died"
    store.leases.claim(other, "w:3")
    elapse(LEASE)
    store.leases.claim(other, "w:4")
    assert store.leases.holders() == ["w:4"], "a lease that ran out is nobody's"


def test_only_the_holder_releases(store: Stores) -> None:
    new, (ref,) = admitted(store)
    store.leases.claim(ref, "w:1")
    store.leases.release([ref], "w:2", RetryLater(SECOND))
    assert store.jobs.job(new.job_id).state is State.RUNNING
    assert store.leases.claim(ref, "w:2").verdict is Claimed.BUSY


def test_a_chunk_whose_notification_is_lost_is_notified_for_once_more(store: Stores, elapse: Elapse) -> None:
    _, to_notify = admitted(store, chunks=2)
    assert store.leases.overdue("demo", 0) == ()
    elapse(11 * SECOND)
    assert sorted(store.leases.overdue("demo", 0), key=lambda r: r.chunk_no) == to_notify
    assert store.leases.overdue("demo", 0) == (), "two sweepers do not notify twice"


def test_while_notifications_wait_only_a_few_chunks_are_notified_for_again(store: Stores, elapse: Elapse) -> None:
    for _ in range(30):
        admitted(store)
    elapse(11 * SECOND)
    assert len(store.leases.overdue("demo", 30)) == 10
    assert len(store.leases.overdue("demo", 0)) == 20


def test_every_operation_says_of_an_unknown_job_that_it_is_gone(store: Stores) -> None:
    ref = ChunkRef(a_new_job().job_id, 0)
    assert store.leases.claim(ref, "w:1").verdict is Claimed.GONE
    assert store.leases.complete(ref, ChunkResult(b"", {})) == Completion((Completed.GONE,))
    assert store.jobs.cancel(ref.job_id) == (Cancelled.GONE, ())
    store.leases.release([ref], "w:1", RetryLater(SECOND))


def test_a_clock_that_is_set_back_delays_nothing(store: Stores, elapse: Elapse) -> None:
    """What was to come within seconds comes at once: leases, pauses, and when to notify again."""
    _, (ref, other) = admitted(store, chunks=2)
    store.leases.claim(ref, "w:1")
    store.leases.claim(other, "w:2")
    store.leases.release([other], "w:2", RetryLater(SECOND, open_circuit=SECOND))
    elapse(-DAY)
    assert set(store.leases.overdue("demo", 0)) == {ref, other}
    assert store.leases.claim(ref, "w:3").verdict is Claimed.APPLY
    assert store.leases.claim(other, "w:4").verdict is Claimed.CIRCUIT_OPEN, (
        "while w:3 finds out whether the database is back"
    )
    complete(store, ref)
    assert store.leases.claim(other, "w:4").verdict is Claimed.APPLY


def test_a_chunk_is_claimed_with_no_more_small_ones_than_asked_for_or_than_redis_gives_back_in_time(
    servers: Services,
) -> None:
    """A lease that its holder does not know of would expire first."""
    store = servers.store("small:", chunk_items=1_000)
    store.leases.settle("demo", 0)
    refs = [ref for _ in range(150) for ref in admitted(store, weight=1)[1]]
    assert store.leases.claim(refs[0], "w:1").verdict is Claimed.APPLY
    assert store.leases.claim(refs[1], "w:2").verdict is Claimed.APPLY, "nobody has it"
    group = [ref for ref, _ in store.leases.claim_group(refs[2], "w:3")]
    assert len(group) == len(set(group)) == 100


def test_a_group_has_no_more_items_than_a_chunk(servers: Services) -> None:
    store = servers.store("smaller:", chunk_items=10)
    store.leases.settle("demo", 0)
    refs = [ref for _ in range(12) for ref in admitted(store, weight=2)[1]]
    assert len(store.leases.claim_group(refs[0], "w:1")) == 5


def test_an_attempt_that_took_too_long_is_remembered_as_that(store: Stores) -> None:
    """The next one goes case by case, so that a slow one delays no others."""
    _, (ref,) = admitted(store)
    for expected, too_slow in ((0, True), (1, False), (1, True)):
        lease = store.leases.claim(ref, "w:1").lease
        assert lease is not None
        assert lease.history.too_slow == expected
        store.leases.release([ref], "w:1", RetryLater(timedelta(0), too_slow=too_slow))
    assert lease_of(store, ref).history.too_slow == 2
