"""The operations of the job store, on the real scripts and a real Valkey."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import sleep

import pytest
import redis
from tests.builders import a_new_job
from tests.elapsing import elapse as elapse_for
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.clock import epoch_ms, milliseconds
from carecase_worker.errors import JobNotFound
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.job import Cancelled, State
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.operations.admission import Admitted, Kept, NewJob, Staging
from carecase_worker.store.operations.claims import (
    ChunkResult,
    Claimed,
    Completed,
    Completion,
    History,
    Lease,
    RetryLater,
)
from carecase_worker.store.queries.open_jobs import OpenJobs
from carecase_worker.traceparent import TraceParent
from carecase_worker.worker.attempts.placing import Placer

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
LEASE = timedelta(seconds=15)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
Elapse = Callable[[timedelta], None]


def admitted(store: JobStore, chunks: int = 1, **changes: object) -> tuple[NewJob, list[ChunkRef]]:
    """A job of so many chunks with one item each, and the chunks to notify for."""
    new = a_new_job(total=chunks, chunk_firsts=tuple(range(chunks)), **changes)
    admission = store.admit(new, {n: b"payload %d" % n for n in range(chunks)})
    assert admission.verdict is Admitted.ADMITTED
    return new, list(admission.to_notify)


def complete(store: JobStore, ref: ChunkRef, **counts: int) -> list[ChunkRef]:
    completion = store.complete(ref, ChunkResult(b"outcome", counts or {"created": 1}))
    assert completion.verdict is Completed.KEPT
    return list(completion.to_notify)


def store_ahead(store: JobStore, database: str, by: timedelta) -> None:
    """Have a database's order of acceptance be ahead of the clock: that was wrong once, and has been set right."""
    store._redis.incrby(f"{store.keys.prefix}seq:{database}", milliseconds(by))


def _lease_of(store: JobStore, ref: ChunkRef) -> Lease:
    lease = store.claim(ref, "w").lease
    assert lease is not None
    return lease


def finish(store: JobStore, to_notify: list[ChunkRef]) -> list[ChunkRef]:
    """Complete the chunks and whatever they open; the order in which they were completed."""
    done = []
    while to_notify:
        ref = to_notify.pop(0)
        to_notify += complete(store, ref)
        done.append(ref)
    return done


def test_an_admitted_job_is_queued_with_its_first_chunks_open(store: JobStore) -> None:
    before = datetime.now(UTC)
    new, to_notify = admitted(store, chunks=5)
    job = store.job(new.job_id)
    assert job.state is State.QUEUED
    assert job.total == 5
    assert job.processed == 0
    assert before <= job.submitted_at <= datetime.now(UTC)
    assert to_notify == [ChunkRef(new.job_id, 0), ChunkRef(new.job_id, 1)], "width is two"


def test_a_job_opens_a_chunk_for_each_one_completed_and_ends_with_the_last(store: JobStore) -> None:
    new, to_notify = admitted(store, chunks=5)
    done = finish(store, to_notify)
    assert [ref.chunk_no for ref in done] == [0, 1, 2, 3, 4]
    job = store.job(new.job_id)
    assert job.state is State.COMPLETED
    assert job.processed == job.total
    assert job.finished_at is not None
    assert job.expires_at == job.finished_at.replace(microsecond=job.finished_at.microsecond // 1000 * 1000) + WEEK
    assert store.due_count("demo") == 0
    assert store.backlog("demo") == (0, 0)


def test_places_in_the_order_of_acceptance_only_grow(store: JobStore, elapse: Elapse) -> None:
    """Also when the clock is set back; the moment of acceptance is the clock's nevertheless."""
    first = store.job(admitted(store)[0].job_id)
    assert abs(first.seq - epoch_ms(first.submitted_at)) <= 1
    store_ahead(store, "demo", DAY)
    before = datetime.now(UTC)
    jobs = [store.job(admitted(store)[0].job_id) for _ in range(3)]
    assert [job.seq - first.seq - milliseconds(DAY) for job in jobs] == [1, 2, 3]
    moments = [job.submitted_at for job in jobs]
    assert moments == sorted(set(moments))
    assert before <= moments[0]
    assert moments[-1] <= datetime.now(UTC)


def test_the_same_idempotency_key_gives_the_same_job(store: JobStore) -> None:
    first, _ = admitted(store, idempotency_key="k")
    again = store.admit(a_new_job(idempotency_key="k"), {0: b"p"})
    assert (again.verdict, again.job_id, again.to_notify) == (Admitted.KNOWN, first.job_id, ())
    other = store.admit(a_new_job(idempotency_key="k", fingerprint="another body"), {0: b"p"})
    assert other.verdict is Admitted.REUSED
    assert store.admit(a_new_job(idempotency_key="k", client="other"), {0: b"p"}).verdict is Admitted.ADMITTED
    assert store.backlog("demo")[0] == 2


def test_admitting_twice_is_admitting_once(store: JobStore) -> None:
    new = a_new_job()
    for _ in range(2):
        assert store.admit(new, {0: b"p"}).verdict is Admitted.ADMITTED
    assert store.backlog("demo") == (1, 10)
    assert store.claim(ChunkRef(new.job_id, 0), "w:1").verdict is Claimed.APPLY


def test_a_full_backlog_refuses_and_keeps_nothing(servers: Services) -> None:
    store = servers.store("full:", max_backlog_jobs=1)
    admitted(store)
    late = a_new_job()
    assert store.admit(late, {0: b"p"}).verdict is Admitted.FULL
    with pytest.raises(JobNotFound):
        store.job(late.job_id)


def test_a_batch_that_lost_a_staged_chunk_is_not_admitted(store: JobStore) -> None:
    new = a_new_job(total=2, chunk_firsts=(0, 1))
    assert store.admit(new, {1: b"p"}).verdict is Admitted.LOST


def test_what_is_staged_goes_after_a_quarter_of_an_hour_unless_it_is_admitted(store: JobStore, elapse: Elapse) -> None:
    """Each piece gives a slow upload that long for the next one; nothing stays of one that was broken off."""
    late, broken_off = (a_new_job(total=3, chunk_firsts=(0, 1, 2)) for _ in range(2))
    for number in (0, 1):
        for new in (late, broken_off):
            store.stage(Staging(new.job_id, "demo", "demo", number + 1, number + 1), {number: b"p"})
        elapse(14 * MINUTE)
    assert store.admit(late, {2: b"p"}).verdict is Admitted.ADMITTED
    elapse(MINUTE)
    assert store.payloads(broken_off.job_id, [0, 1]) == [None, None]
    assert store.payloads(late.job_id, [0, 1, 2]) == [b"p"] * 3


@pytest.mark.parametrize("times", [1, 2])
def test_an_admitted_batch_waits_for_as_long_as_it_takes(store: JobStore, elapse: Elapse, times: int) -> None:
    new = a_new_job()
    for _ in range(times):
        store.admit(new, {0: b"p"})
    elapse(WEEK)
    lease = store.claim(ChunkRef(new.job_id, 0), "w:1").lease
    assert lease is not None
    assert lease.payload == b"p"


def test_chunks_staged_before_are_admitted_with_the_last(store: JobStore) -> None:
    new = a_new_job(total=2, chunk_firsts=(0, 1))
    store.stage(Staging(new.job_id, "demo", "demo", 5, 1), {0: b"first"})
    to_notify = store.admit(new, {1: b"second"}).to_notify
    leases = [store.claim(ref, "w:1").lease for ref in to_notify]
    assert [lease.payload for lease in leases if lease] == [b"first", b"second"]


def test_a_claim_tells_what_applying_takes_and_moves_the_job(store: JobStore) -> None:
    new, (ref,) = admitted(store, care_plan=-7, user="ann")
    before = datetime.now(UTC)
    lease = store.claim(ref, "w:1").lease
    assert lease is not None
    assert (lease.payload, lease.database, lease.care_plan, lease.user) == (b"payload 0", "demo", -7, "ann")
    job = store.job(new.job_id)
    assert job.state is State.RUNNING
    assert job.started_at is not None
    assert job.submitted_at < before <= job.started_at <= datetime.now(UTC)
    assert (lease.seq, lease.accepted_at, lease.history) == (job.seq, job.submitted_at, History())


@pytest.mark.parametrize("sampled", [True, False])
def test_the_traceparent_of_a_request_comes_back_with_each_claim_and_with_the_job(
    store: JobStore, sampled: bool
) -> None:
    sent = TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled)
    new, refs = admitted(store, 2, traceparent=sent)
    untraced, [other] = admitted(store)
    assert [_lease_of(store, ref).traceparent for ref in (*refs, other)] == [sent, sent, None]
    assert (store.job(new.job_id).traceparent, store.job(untraced.job_id).traceparent) == (sent, None)


def test_the_completion_of_a_last_chunk_names_the_job_that_it_ends(store: JobStore) -> None:
    new, refs = admitted(store, 2)
    told = [store.complete(ref, ChunkResult(b"outcome", {"created": 1})).final for ref in (*refs, refs[1])]
    assert told == [(), (new.job_id,), ()], "and only the first time"


def test_a_leased_chunk_is_busy_until_the_lease_is_over_or_its_holder_dead(store: JobStore, elapse: Elapse) -> None:
    _, (ref,) = admitted(store)
    store.claim(ref, "w:1")
    elapse(LEASE - 5 * SECOND)
    busy = store.claim(ref, "w:2")
    assert (busy.verdict, busy.holder) == (Claimed.BUSY, "w:1")
    assert store.reclaim("w:1") == [("demo", ref)]
    assert store.overdue("demo", 0) == (ref,), "it is due at once"
    assert store.reclaim("w:1") == [], "a process dies once"
    after_death = store.claim(ref, "w:2")
    assert after_death.lease is not None
    assert after_death.lease.history.deaths == 1
    elapse(LEASE)
    after_expiry = store.claim(ref, "w:3")
    assert after_expiry.lease is not None
    assert after_expiry.lease.history.deaths == 2


def test_the_first_outcome_stands(store: JobStore) -> None:
    new, (ref,) = admitted(store)
    store.claim(ref, "w:1")
    complete(store, ref, created=1)
    assert store.complete(ref, ChunkResult(b"another", {"failed": 1})) == Completion((Completed.DONE,))
    assert store.outcomes(new.job_id, [0]) == [b"outcome"]
    assert store.job(new.job_id).counts == {"created": 1, "updated": 0, "superseded": 0, "failed": 0, "cancelled": 0}
    assert store.claim(ref, "w:1").verdict is Claimed.DONE


def test_a_released_chunk_waits_and_its_database_is_left_alone(store: JobStore, elapse: Elapse) -> None:
    new, (ref, other) = admitted(store, chunks=2)
    store.claim(ref, "w:1")
    store.release([ref], "w:1", RetryLater(3 * SECOND, open_circuit=timedelta(seconds=60)))
    assert store.job(new.job_id).state is State.WAITING
    assert store.claim(other, "w:1").verdict is Claimed.CIRCUIT_OPEN
    elapse(30 * SECOND)
    assert store.overdue("demo", 0) == ()


def test_a_release_without_pause_comes_again_when_it_is_due(store: JobStore, elapse: Elapse) -> None:
    new, (ref,) = admitted(store)
    store.claim(ref, "w:1")
    store.release([ref], "w:1", RetryLater(30 * SECOND))
    elapse(20 * SECOND)
    assert store.overdue("demo", 0) == ()
    elapse(10 * SECOND)
    assert store.overdue("demo", 0) == (ref,)
    lease = store.claim(ref, "w:2").lease
    assert lease is not None
    assert lease.history == History(releases=1, failing_for=lease.history.failing_for)
    assert 30 * SECOND <= lease.history.failing_for < 40 * SECOND
    assert store.job(new.job_id).state is State.RUNNING


def test_one_attempt_at_a_time_finds_out_whether_a_database_is_back(store: JobStore, elapse: Elapse) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    store.claim(ref, "w:1")
    store.release([ref], "w:1", RetryLater(SECOND, open_circuit=timedelta(milliseconds=1)))
    sleep(0.02)
    elapse(2 * SECOND)
    probe = store.claim(ref, "w:1").lease
    assert probe is not None
    assert probe.history == History(releases=1, failures=1, failing_for=probe.history.failing_for)
    assert store.claim(other, "w:2").verdict is Claimed.CIRCUIT_OPEN
    assert store.overdue("demo", 0) == (), "nobody notifies while one finds out"
    complete(store, ref)
    assert store.overdue("demo", 0) == (other,), "and all at once when it is back"
    lease = store.claim(other, "w:2").lease
    assert lease is not None
    assert lease.history == History()


def test_a_probe_ends_with_the_process_that_probes(store: JobStore) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    store.claim(ref, "w:1")
    store.release([ref], "w:1", RetryLater(SECOND, open_circuit=timedelta(milliseconds=1)))
    sleep(0.02)
    store.claim(ref, "w:1")
    assert store.claim(other, "w:2").verdict is Claimed.CIRCUIT_OPEN
    assert store.claim(ref, "w:2").verdict is Claimed.BUSY
    store.reclaim("w:1")
    assert store.claim(ref, "w:2").verdict is Claimed.APPLY


def test_the_store_knows_who_holds_a_chunk(store: JobStore, elapse: Elapse) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    assert store.holders() == []
    store.claim(ref, "w:1")
    store.claim(other, "w:2")
    assert sorted(store.holders()) == ["w:1", "w:2"]
    complete(store, ref)
    store.release([other], "w:2", RetryLater(SECOND))
    assert store.holders() == []
    assert store.reclaim("w:1") == [], "it held nothing when it died"
    store.claim(other, "w:3")
    elapse(LEASE)
    store.claim(other, "w:4")
    assert store.holders() == ["w:4"], "a lease that ran out is nobody's"


def test_a_probe_that_the_database_answered_lets_the_others_go_on(store: JobStore) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    store.claim(ref, "w:1")
    store.release([ref], "w:1", RetryLater(SECOND, open_circuit=timedelta(milliseconds=1)))
    sleep(0.02)
    store.claim(ref, "w:1")
    store.release([ref], "w:1", RetryLater(SECOND, counts_toward_deadline=False))
    assert store.claim(other, "w:2").verdict is Claimed.APPLY


def test_a_chunk_that_nobody_can_read_does_not_use_up_the_retry_deadline(store: JobStore, elapse: Elapse) -> None:
    _, (ref,) = admitted(store)
    store.claim(ref, "w:1")
    store.release([ref], "w:1", RetryLater(SECOND, counts_toward_deadline=False))
    elapse(SECOND)
    lease = store.claim(ref, "w:1").lease
    assert lease is not None
    assert lease.history.failing_for == timedelta(0)


def test_faults_are_counted_apart_from_outages(store: JobStore) -> None:
    _, (ref,) = admitted(store)
    for unexplained in (True, False, True):
        store.claim(ref, "w:1")
        store.release([ref], "w:1", RetryLater(SECOND, unexplained=unexplained))
    lease = store.claim(ref, "w:1").lease
    assert lease is not None
    assert (lease.history.releases, lease.history.faults) == (3, 2)


def test_one_tenants_backlog_is_not_anothers(servers: Services) -> None:
    store = servers.store("tenants:", max_backlog_jobs=1)
    admitted(store)
    admitted(store, database="other")
    assert (store.backlog("demo"), store.backlog("other")) == ((1, 10), (1, 10))


def test_only_the_holder_releases(store: JobStore) -> None:
    new, (ref,) = admitted(store)
    store.claim(ref, "w:1")
    store.release([ref], "w:2", RetryLater(SECOND))
    assert store.job(new.job_id).state is State.RUNNING
    assert store.claim(ref, "w:2").verdict is Claimed.BUSY


def test_what_nobody_rang_for_is_overdue_once(store: JobStore, elapse: Elapse) -> None:
    _, to_notify = admitted(store, chunks=2)
    assert store.overdue("demo", 0) == ()
    elapse(3 * SECOND)
    assert sorted(store.overdue("demo", 0), key=lambda r: r.chunk_no) == to_notify
    assert store.overdue("demo", 0) == (), "two sweepers do not ring twice"


def test_while_notifications_wait_only_a_few_chunks_are_notified_for_again(store: JobStore, elapse: Elapse) -> None:
    for _ in range(30):
        admitted(store)
    elapse(3 * SECOND)
    assert len(store.overdue("demo", 30)) == 10
    assert len(store.overdue("demo", 0)) == 20


def test_a_cancelled_job_ends_cancelled_once_its_chunks_are(store: JobStore) -> None:
    new, to_notify = admitted(store, chunks=3)
    complete(store, to_notify[0])
    assert store.cancel(new.job_id)[0] is Cancelled.CANCELLING
    for n in (1, 2):
        ref = ChunkRef(new.job_id, n)
        assert store.claim(ref, "w:1").verdict is Claimed.CANCEL
        complete(store, ref, cancelled=1)
    job = store.job(new.job_id)
    assert job.state is State.CANCELLED
    assert (job.counts["created"], job.counts["cancelled"]) == (1, 2)
    assert store.cancel(new.job_id)[0] is Cancelled.FINAL


def test_a_job_cancelled_too_late_is_completed(store: JobStore) -> None:
    new, (ref,) = admitted(store)
    store.claim(ref, "w:1")
    store.cancel(new.job_id)
    complete(store, ref)
    assert store.job(new.job_id).state is State.COMPLETED


def test_tenants_do_not_wait_for_each_other(store: JobStore) -> None:
    admitted(store, care_plan=1)
    _, to_notify = admitted(store, care_plan=2, database="other")
    assert len(to_notify) == 1


def test_a_job_that_is_not_there_is_gone(store: JobStore) -> None:
    ref = ChunkRef(a_new_job().job_id, 0)
    assert store.claim(ref, "w:1").verdict is Claimed.GONE
    assert store.complete(ref, ChunkResult(b"", {})) == Completion((Completed.GONE,))
    assert store.cancel(ref.job_id) == (Cancelled.GONE, ())
    store.release([ref], "w:1", RetryLater(SECOND))


def test_the_pace_is_measured_from_what_is_completed(store: JobStore, elapse: Elapse) -> None:
    new, to_notify = admitted(store, chunks=6)
    while to_notify:
        elapse(timedelta(milliseconds=500))
        to_notify += complete(store, to_notify.pop(0))
    pace = store.pace("demo")
    assert pace.open_items == 0
    assert 1 <= pace.items_per_second <= 3
    assert pace.now_per_second == pace.items_per_second
    elapse(10 * SECOND)
    assert store.pace("demo").now_per_second == 0, "nothing has been completed for ten seconds"
    assert store.stats()[("demo", "created")] >= new.total


def test_a_database_that_fails_its_chunks_is_in_trouble_until_it_answers(store: JobStore, elapse: Elapse) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    assert store.trouble("demo") is None
    for reason in ("too-slow", "away"):
        store.claim(ref, "w:1")
        store.release([ref], "w:1", RetryLater(SECOND, open_circuit=timedelta(milliseconds=1), reason=reason))
        elapse(10 * SECOND)
    trouble = store.trouble("demo")
    assert trouble is not None
    assert trouble.reason == "away"
    assert 20 * SECOND <= trouble.lasting < 30 * SECOND
    assert store.trouble("other") is None
    complete(store, other)
    assert store.trouble("demo") is None


def test_of_a_database_without_open_chunks_nobody_says_that_it_is_in_trouble(store: JobStore) -> None:
    _, (ref,) = admitted(store)
    store.claim(ref, "w:1")
    store.release([ref], "w:1", RetryLater(SECOND, open_circuit=timedelta(milliseconds=1), reason="away"))
    assert store.trouble("demo") is not None
    store.complete(ref, ChunkResult(b"given up", {"failed": 1}, database_answered=False))
    assert store.trouble("demo") is None, "nobody will find out whether it is back"


def test_a_clock_that_is_set_back_holds_up_nothing(store: JobStore, elapse: Elapse) -> None:
    """What was to come within seconds comes at once: leases, pauses, and when to notify again."""
    _, (ref, other) = admitted(store, chunks=2)
    store.claim(ref, "w:1")
    store.claim(other, "w:2")
    store.release([other], "w:2", RetryLater(SECOND, open_circuit=SECOND))
    elapse(-DAY)
    assert set(store.overdue("demo", 0)) == {ref, other}
    assert store.claim(ref, "w:3").verdict is Claimed.APPLY
    assert store.claim(other, "w:4").verdict is Claimed.CIRCUIT_OPEN, "while w:3 finds out whether the database is back"
    complete(store, ref)
    assert store.claim(other, "w:4").verdict is Claimed.APPLY


def test_a_redis_that_is_new_to_a_database_starts_above_what_it_holds(store: JobStore) -> None:
    """Jobs admitted before anybody has looked move up together; those admitted later come after them."""
    (first, (ref,)), (second, _), _ = (admitted(store, care_plan=plan) for plan in (None, 7, None))
    before = [store.job(new.job_id).seq for new in (first, second)]
    lease = store.claim(ref, "w:1").lease
    assert lease is not None
    assert lease.unsettled
    assert store.unsettled(["demo", "other"]) == ["demo", "other"]
    highest = before[0] + milliseconds(DAY)
    assert store.settle("demo", highest)
    assert store.unsettled(["demo", "other"]) == ["other"]
    jobs = [store.job(new.job_id) for new in (first, second, admitted(store)[0])]
    assert not any(job.unsettled for job in jobs)
    assert highest < jobs[0].seq < jobs[1].seq < jobs[2].seq
    assert jobs[1].seq - jobs[0].seq == before[1] - before[0]
    assert jobs[2].submitted_at <= datetime.now(UTC), "the order is ahead, the clock is not"
    again = store.claim(ref, "w:1").lease
    assert again is not None
    assert (again.seq, again.unsettled, again.history.deaths) == (jobs[0].seq, False, 0)
    assert not store.settle("demo", highest + milliseconds(DAY)), "once for all"
    assert store.job(first.job_id).seq == jobs[0].seq


def test_a_database_that_holds_nothing_newer_moves_nothing(store: JobStore) -> None:
    new, _ = admitted(store)
    seq = store.job(new.job_id).seq
    assert store.settle("demo", seq - 1)
    assert (store.job(new.job_id).seq, store.job(new.job_id).unsettled) == (seq, False)
    assert not store.job(admitted(store)[0].job_id).unsettled


def test_a_restored_redis_that_looks_again_keeps_the_places_that_it_gave(servers: Services, store: JobStore) -> None:
    """`settled` is taken out, as docs/operations/redis-away.md says: what is admitted from then on starts above."""
    store.settle("demo", 0)
    old, _ = admitted(store)
    seq = store.job(old.job_id).seq
    redis.Redis.from_url(servers.redis_url).delete(store.keys.settled("demo"))
    new, _ = admitted(store)
    assert store.settle("demo", seq + milliseconds(DAY))
    assert store.job(old.job_id).seq == seq
    assert store.job(new.job_id).seq > seq + milliseconds(DAY)


def test_expired_jobs_leave_nothing_behind(servers: Services) -> None:
    store = servers.store("soak:", width=2, retention_seconds=60, renotify_after_seconds=0.001)
    placer = Placer(store, OpenJobs(RedisSettings(url=servers.redis_url, prefix="soak:")), "w:1")

    def keys() -> set[str]:
        found = store._redis.scan_iter("soak:*", count=1000)
        return {key.decode().removeprefix("soak:") for key in found}

    def one_round(number: int) -> None:
        jobs = [admitted(store, chunks=3, care_plan=n % 3, idempotency_key=f"{number} {n}") for n in range(20)]
        for new, _ in jobs[::5]:
            store.cancel(new.job_id)
        while store.due_count("demo"):
            for ref in store.overdue("demo", 0):
                claim = store.claim(ref, "w:1")
                if claim.verdict is Claimed.UNPLACED:
                    placer.place("demo")
                if claim.lease is None:
                    continue
                kept = claim.verdict is Claimed.CANCEL
                store.complete(ref, ChunkResult(b"o", {"cancelled" if kept else "updated": 1}, retryable=kept))
        assert store.backlog("demo")[0] == 0
        elapse_for(servers.redis_url, store, timedelta(minutes=3))
        store.overdue("demo", 0)

    one_round(0)
    after_one = keys()
    for number in range(1, 4):
        one_round(number)
    assert keys() == after_one == {"seq:demo", "pace:demo", "backlog:demo", "stats", "measures", "kept:demo"}
    assert store.kept("demo") == {"demo": Kept(0, 0)}
    assert store.backlog("demo") == (0, 0)
    assert store.pace("demo").open_items == 0
