"""The verbs of the job store, on the real scripts and a real Valkey."""

from datetime import datetime, timedelta
from time import sleep

import pytest
from tests.builders import NOW, a_new_job
from tests.services import Services

from carecase_worker.clock import epoch_ms
from carecase_worker.errors import JobNotFound, SettingsError, StoreUnavailable
from carecase_worker.jobs.job import MOVES, State, Verb
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import (
    Admitted,
    Cancelled,
    ChunkRef,
    Claimed,
    Completed,
    Completion,
    Done,
    History,
    NewJob,
    Wait,
)
from carecase_worker.settings.model import JobSettings, RedisSettings

SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=15)


def admitted(store: JobStore, chunks: int = 1, now: datetime = NOW, **changes: object) -> tuple[NewJob, list[ChunkRef]]:
    """A job of so many chunks with one item each, and the chunks to ring for."""
    new = a_new_job(total=chunks, chunk_firsts=tuple(range(chunks)), **changes)
    admission = store.admit(new, {n: b"payload %d" % n for n in range(chunks)}, now)
    assert admission.verdict is Admitted.ADMITTED
    return new, list(admission.rings)


def complete(store: JobStore, ref: ChunkRef, now: datetime = NOW, **counts: int) -> list[ChunkRef]:
    completion = store.complete(ref, Done(b"outcome", counts or {"created": 1}), now)
    assert completion.verdict is Completed.KEPT
    return list(completion.rings)


def finish(store: JobStore, rings: list[ChunkRef]) -> list[ChunkRef]:
    """Complete the chunks and whatever they open; the order in which they were completed."""
    done = []
    while rings:
        ref = rings.pop(0)
        rings += complete(store, ref)
        done.append(ref)
    return done


def test_an_admitted_job_is_queued_with_its_first_chunks_open(store: JobStore) -> None:
    new, rings = admitted(store, chunks=5)
    job = store.job(new.job_id)
    assert job.state is State.QUEUED
    assert job.total == 5
    assert job.processed == 0
    assert job.submitted_at == NOW
    assert rings == [ChunkRef(new.job_id, 0), ChunkRef(new.job_id, 1)], "width is two"


def test_a_job_opens_a_chunk_for_each_one_completed_and_ends_with_the_last(store: JobStore) -> None:
    new, rings = admitted(store, chunks=5)
    done = finish(store, rings)
    assert [ref.chunk_no for ref in done] == [0, 1, 2, 3, 4]
    job = store.job(new.job_id)
    assert job.state is State.COMPLETED
    assert job.processed == job.total
    assert job.expires_at == NOW + timedelta(days=7)
    assert store.due_count("demo") == 0
    assert store.backlog("demo") == (0, 0)


def test_places_in_the_order_of_acceptance_only_grow(store: JobStore) -> None:
    seqs = [store.job(admitted(store, now=NOW - n * SECOND)[0].job_id).seq for n in range(3)]
    assert seqs[0] == epoch_ms(NOW)
    assert seqs == [seqs[0], seqs[0] + 1, seqs[0] + 2], "also when the clock goes back"


def test_the_same_idempotency_key_gives_the_same_job(store: JobStore) -> None:
    first, _ = admitted(store, idempotency_key="k")
    again = store.admit(a_new_job(idempotency_key="k"), {0: b"p"}, NOW)
    assert (again.verdict, again.job_id, again.rings) == (Admitted.KNOWN, first.job_id, ())
    other = store.admit(a_new_job(idempotency_key="k", fingerprint="another body"), {0: b"p"}, NOW)
    assert other.verdict is Admitted.REUSED
    assert store.admit(a_new_job(idempotency_key="k", client="other"), {0: b"p"}, NOW).verdict is Admitted.ADMITTED
    assert store.backlog("demo")[0] == 2


def test_admitting_twice_is_admitting_once(store: JobStore) -> None:
    new = a_new_job()
    for _ in range(2):
        assert store.admit(new, {0: b"p"}, NOW).verdict is Admitted.ADMITTED
    assert store.backlog("demo") == (1, 10)
    assert store.claim(ChunkRef(new.job_id, 0), "w:1", NOW).verdict is Claimed.APPLY


def test_a_full_backlog_refuses_and_keeps_nothing(servers: Services) -> None:
    store = servers.store("full:", max_backlog_jobs=1)
    admitted(store)
    late = a_new_job()
    assert store.admit(late, {0: b"p"}, NOW).verdict is Admitted.FULL
    with pytest.raises(JobNotFound):
        store.job(late.job_id)


def test_a_batch_that_lost_a_staged_chunk_is_not_admitted(store: JobStore) -> None:
    new = a_new_job(total=2, chunk_firsts=(0, 1))
    assert store.admit(new, {1: b"p"}, NOW).verdict is Admitted.LOST


def test_chunks_staged_before_are_admitted_with_the_last(store: JobStore) -> None:
    new = a_new_job(total=2, chunk_firsts=(0, 1))
    store.stage(new.job_id, {0: b"first"})
    rings = store.admit(new, {1: b"second"}, NOW).rings
    leases = [store.claim(ref, "w:1", NOW).lease for ref in rings]
    assert [lease.payload for lease in leases if lease] == [b"first", b"second"]


def test_a_claim_tells_what_applying_takes_and_moves_the_job(store: JobStore) -> None:
    new, (ref,) = admitted(store, care_plan=-7, user="ann")
    lease = store.claim(ref, "w:1", NOW + SECOND).lease
    assert lease is not None
    assert (lease.payload, lease.database, lease.care_plan, lease.user) == (b"payload 0", "demo", -7, "ann")
    assert (lease.submitted_at, lease.history) == (NOW, History())
    job = store.job(new.job_id)
    assert (job.state, job.started_at) == (State.RUNNING, NOW + SECOND)
    assert lease.seq == job.seq


def test_a_leased_chunk_is_busy_until_the_lease_is_over_or_its_holder_dead(store: JobStore) -> None:
    _, (ref,) = admitted(store)
    store.claim(ref, "w:1", NOW)
    busy = store.claim(ref, "w:2", NOW + LEASE - SECOND)
    assert (busy.verdict, busy.holder) == (Claimed.BUSY, "w:1")
    assert store.bury("w:1", NOW + SECOND) == ("demo", ref)
    assert store.overdue("demo", 0, NOW + SECOND) == (ref,), "it is due at once"
    assert store.bury("w:1", NOW + SECOND) is None, "a process dies once"
    after_death = store.claim(ref, "w:2", NOW + SECOND)
    assert after_death.lease is not None
    assert after_death.lease.history.deaths == 1
    after_expiry = store.claim(ref, "w:3", NOW + 2 * LEASE)
    assert after_expiry.lease is not None
    assert after_expiry.lease.history.deaths == 2


def test_the_first_outcome_stands(store: JobStore) -> None:
    new, (ref,) = admitted(store)
    store.claim(ref, "w:1", NOW)
    complete(store, ref, created=1)
    assert store.complete(ref, Done(b"another", {"failed": 1}), NOW) == Completion(Completed.DONE)
    assert store.outcomes(new.job_id, [0]) == [b"outcome"]
    assert store.job(new.job_id).counts == {"created": 1, "updated": 0, "superseded": 0, "failed": 0, "cancelled": 0}
    assert store.claim(ref, "w:1", NOW).verdict is Claimed.DONE


def test_a_released_chunk_waits_and_its_database_is_left_alone(store: JobStore) -> None:
    new, (ref, other) = admitted(store, chunks=2)
    store.claim(ref, "w:1", NOW)
    store.release(ref, "w:1", NOW, Wait(3 * SECOND, pause=timedelta(seconds=60)))
    assert store.job(new.job_id).state is State.WAITING
    assert store.claim(other, "w:1", NOW).verdict is Claimed.HELD
    assert store.overdue("demo", 0, NOW + timedelta(hours=1)) == ()


def test_a_release_without_pause_comes_again_when_it_is_due(store: JobStore) -> None:
    new, (ref,) = admitted(store)
    store.claim(ref, "w:1", NOW)
    store.release(ref, "w:1", NOW, Wait(3 * SECOND))
    assert store.overdue("demo", 0, NOW + 2 * SECOND) == ()
    assert store.overdue("demo", 0, NOW + 4 * SECOND) == (ref,)
    lease = store.claim(ref, "w:2", NOW + 4 * SECOND).lease
    assert lease is not None
    assert lease.history == History(releases=1, failing_since=NOW)
    assert store.job(new.job_id).state is State.RUNNING


def test_one_attempt_at_a_time_finds_out_whether_a_database_is_back(store: JobStore) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    store.claim(ref, "w:1", NOW)
    store.release(ref, "w:1", NOW, Wait(SECOND, pause=timedelta(milliseconds=1)))
    sleep(0.02)
    later = NOW + 2 * SECOND
    probe = store.claim(ref, "w:1", later).lease
    assert probe is not None
    assert probe.history == History(releases=1, failures=1, failing_since=NOW)
    assert store.claim(other, "w:2", later).verdict is Claimed.HELD
    assert store.overdue("demo", 0, later) == (), "nobody rings while one finds out"
    complete(store, ref, later)
    assert store.overdue("demo", 0, later) == (other,), "and all at once when it is back"
    lease = store.claim(other, "w:2", later).lease
    assert lease is not None
    assert lease.history == History()


def test_a_probe_ends_with_the_process_that_probes(store: JobStore) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    store.claim(ref, "w:1", NOW)
    store.release(ref, "w:1", NOW, Wait(SECOND, pause=timedelta(milliseconds=1)))
    sleep(0.02)
    store.claim(ref, "w:1", NOW)
    assert store.claim(other, "w:2", NOW).verdict is Claimed.HELD
    assert store.claim(ref, "w:2", NOW).verdict is Claimed.BUSY
    store.bury("w:1", NOW)
    assert store.claim(ref, "w:2", NOW).verdict is Claimed.APPLY


def test_the_store_knows_who_holds_a_chunk(store: JobStore) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    assert store.holders() == []
    store.claim(ref, "w:1", NOW)
    store.claim(other, "w:2", NOW)
    assert sorted(store.holders()) == ["w:1", "w:2"]
    complete(store, ref)
    store.release(other, "w:2", NOW, Wait(SECOND))
    assert store.holders() == []
    assert store.bury("w:1", NOW) is None, "it held nothing when it died"
    store.claim(other, "w:3", NOW + SECOND)
    store.claim(other, "w:4", NOW + 2 * LEASE)
    assert store.holders() == ["w:4"], "a lease that ran out is nobody's"


def test_a_probe_that_the_database_answered_lets_the_others_go_on(store: JobStore) -> None:
    _, (ref, other) = admitted(store, chunks=2)
    store.claim(ref, "w:1", NOW)
    store.release(ref, "w:1", NOW, Wait(SECOND, pause=timedelta(milliseconds=1)))
    sleep(0.02)
    store.claim(ref, "w:1", NOW)
    store.release(ref, "w:1", NOW, Wait(SECOND, database_to_blame=False))
    assert store.claim(other, "w:2", NOW).verdict is Claimed.APPLY


def test_a_chunk_that_nobody_can_read_does_not_use_up_the_retry_deadline(store: JobStore) -> None:
    _, (ref,) = admitted(store)
    store.claim(ref, "w:1", NOW)
    store.release(ref, "w:1", NOW, Wait(SECOND, database_to_blame=False))
    lease = store.claim(ref, "w:1", NOW + SECOND).lease
    assert lease is not None
    assert lease.history.failing_since is None


def test_faults_are_counted_apart_from_outages(store: JobStore) -> None:
    _, (ref,) = admitted(store)
    for unexplained in (True, False, True):
        store.claim(ref, "w:1", NOW)
        store.release(ref, "w:1", NOW, Wait(SECOND, unexplained=unexplained))
    lease = store.claim(ref, "w:1", NOW).lease
    assert lease is not None
    assert (lease.history.releases, lease.history.faults) == (3, 2)


def test_one_tenants_backlog_is_not_anothers(servers: Services) -> None:
    store = servers.store("tenants:", max_backlog_jobs=1)
    admitted(store)
    admitted(store, database="other")
    assert (store.backlog("demo"), store.backlog("other")) == ((1, 10), (1, 10))


def test_only_the_holder_releases(store: JobStore) -> None:
    new, (ref,) = admitted(store)
    store.claim(ref, "w:1", NOW)
    store.release(ref, "w:2", NOW, Wait(SECOND))
    assert store.job(new.job_id).state is State.RUNNING
    assert store.claim(ref, "w:2", NOW).verdict is Claimed.BUSY


def test_what_nobody_rang_for_is_overdue_once(store: JobStore) -> None:
    _, rings = admitted(store, chunks=2)
    assert store.overdue("demo", 0, NOW + SECOND) == ()
    assert sorted(store.overdue("demo", 0, NOW + 3 * SECOND), key=lambda r: r.chunk_no) == rings
    assert store.overdue("demo", 0, NOW + 3 * SECOND) == (), "two sweepers do not ring twice"


def test_while_doorbells_wait_only_a_few_chunks_are_rung_for_again(store: JobStore) -> None:
    for _ in range(30):
        admitted(store)
    later = NOW + 3 * SECOND
    assert len(store.overdue("demo", 30, later)) == 10
    assert len(store.overdue("demo", 0, later)) == 20


def test_a_cancelled_job_ends_cancelled_once_its_chunks_are(store: JobStore) -> None:
    new, rings = admitted(store, chunks=3)
    complete(store, rings[0])
    assert store.cancel(new.job_id, NOW)[0] is Cancelled.CANCELLING
    for n in (1, 2):
        ref = ChunkRef(new.job_id, n)
        assert store.claim(ref, "w:1", NOW).verdict is Claimed.CANCEL
        complete(store, ref, cancelled=1)
    job = store.job(new.job_id)
    assert job.state is State.CANCELLED
    assert (job.counts["created"], job.counts["cancelled"]) == (1, 2)
    assert store.cancel(new.job_id, NOW)[0] is Cancelled.FINAL


def test_a_job_cancelled_too_late_is_completed(store: JobStore) -> None:
    new, (ref,) = admitted(store)
    store.claim(ref, "w:1", NOW)
    store.cancel(new.job_id, NOW)
    complete(store, ref)
    assert store.job(new.job_id).state is State.COMPLETED


def test_a_care_plan_waits_for_the_jobs_of_another_that_were_accepted_before(store: JobStore) -> None:
    _, rings_a = admitted(store, care_plan=1)
    job_b, rings_b = admitted(store, care_plan=2)
    job_c, rings_c = admitted(store, care_plan=2)
    job_d, rings_d = admitted(store, care_plan=None)
    assert (rings_b, rings_c, rings_d) == ([], [], [])
    assert store.claim(ChunkRef(job_b.job_id, 0), "w:1", NOW).verdict is Claimed.BUSY
    opened = complete(store, rings_a[0])
    assert {ref.job_id for ref in opened} == {job_b.job_id, job_c.job_id}, "jobs of one care plan go together"
    assert complete(store, opened[0]) == []
    assert [ref.job_id for ref in complete(store, opened[1])] == [job_d.job_id]


def test_tenants_do_not_wait_for_each_other(store: JobStore) -> None:
    admitted(store, care_plan=1)
    _, rings = admitted(store, care_plan=2, database="other")
    assert len(rings) == 1


def test_a_job_that_is_not_there_is_gone(store: JobStore) -> None:
    ref = ChunkRef(a_new_job().job_id, 0)
    assert store.claim(ref, "w:1", NOW).verdict is Claimed.GONE
    assert store.complete(ref, Done(b"", {}), NOW) == Completion(Completed.GONE)
    assert store.cancel(ref.job_id, NOW) == (Cancelled.GONE, ())
    store.release(ref, "w:1", NOW, Wait(SECOND))


def _state_after(store: JobStore, verb: Verb, state: State) -> State:
    """The state of a job of two chunks, both claimed, after a verb met it in `state`."""
    new, rings = admitted(store, chunks=2)
    for ref in rings:
        store.claim(ref, "w:1", NOW)
    store._redis.hset(store.keys.job(new.job_id), "state", state.value)
    match verb:
        case Verb.CLAIM:
            store.claim(rings[0], "w:1", NOW)
        case Verb.COMPLETE:
            store.complete(rings[0], Done(b"o", {"created": 1}), NOW)
        case Verb.RELEASE:
            store.release(rings[0], "w:1", NOW, Wait(SECOND))
        case Verb.CANCEL:
            store.cancel(new.job_id, NOW)
    return store.job(new.job_id).state


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("state", [state for state in State if not state.final])
def test_every_verb_moves_a_job_as_the_table_says(store: JobStore, verb: Verb, state: State) -> None:
    allowed = MOVES.get((state, verb), frozenset({state}))
    assert _state_after(store, verb, state) in allowed


@pytest.mark.parametrize("verb", [Verb.COMPLETE, Verb.RELEASE, Verb.CANCEL])
@pytest.mark.parametrize("state", [state for state in State if state.final])
def test_nothing_leaves_a_final_state(store: JobStore, verb: Verb, state: State) -> None:
    assert _state_after(store, verb, state) is state


def test_the_pace_is_measured_from_what_is_completed(store: JobStore) -> None:
    new, rings = admitted(store, chunks=6)
    now = NOW
    while rings:
        now += timedelta(milliseconds=500)
        rings += complete(store, rings.pop(0), now)
    pace = store.pace("demo")
    assert pace.open_items == 0
    assert 1 <= pace.items_per_second <= 3
    assert store.stats()[("demo", "created")] >= new.total


def test_a_redis_that_can_lose_batches_is_refused(servers: Services) -> None:
    store = servers.store("refused:")
    store._redis.config_set("appendonly", "no")
    try:
        with pytest.raises(SettingsError, match="appendonly yes"):
            store.check()
        relaxed = RedisSettings.model_validate({"url": servers.redis_url, "durability": "relaxed"})
        JobStore(relaxed, JobSettings()).check()
    finally:
        store._redis.config_set("appendonly", "yes")
        store._redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(SettingsError, match="noeviction"):
            store.check()
    finally:
        store._redis.config_set("maxmemory-policy", "noeviction")


def test_without_fsync_at_every_write_admit_waits_for_the_disk(servers: Services) -> None:
    store = servers.store("everysec:")
    store._redis.config_set("appendfsync", "everysec")
    try:
        store.check()
        new, rings = admitted(store)
        assert rings == [ChunkRef(new.job_id, 0)]
    finally:
        store._redis.config_set("appendfsync", "always")


def test_a_full_redis_refuses_new_batches_whole_and_still_lets_work_get_done(store: JobStore) -> None:
    new, rings = admitted(store, chunks=3)
    late = a_new_job()
    store._redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(StoreUnavailable):
            store.admit(late, {0: b"p"}, NOW)
        assert store.claim(rings[0], "w:1", NOW).verdict is Claimed.APPLY
        finish(store, rings)
    finally:
        store._redis.config_set("maxmemory", "0")
    assert store.job(new.job_id).state is State.COMPLETED
    with pytest.raises(JobNotFound):
        store.job(late.job_id)


def test_a_redis_that_takes_no_writes_leaves_nothing_half_done(store: JobStore) -> None:
    new, (ref,) = admitted(store)
    store.claim(ref, "w:1", NOW)
    before = store.job(new.job_id), store.due_count("demo")
    store._redis.config_set("min-replicas-to-write", "1")
    try:
        for verb in (
            lambda: store.complete(ref, Done(b"o", {"created": 1}), NOW),
            lambda: store.release(ref, "w:1", NOW, Wait(SECOND)),
            lambda: store.cancel(new.job_id, NOW),
            lambda: store.claim(ref, "w:2", NOW + 2 * LEASE),
            lambda: store.overdue("demo", 0, NOW + 2 * LEASE),
        ):
            with pytest.raises(StoreUnavailable):
                verb()
        assert (store.job(new.job_id), store.due_count("demo")) == before
    finally:
        store._redis.config_set("min-replicas-to-write", "0")
    complete(store, ref)
    assert store.job(new.job_id).state is State.COMPLETED


def test_expired_jobs_leave_nothing_behind(servers: Services) -> None:
    store = servers.store("soak:", width=2, retention_seconds=0.2)

    def keys() -> set[str]:
        found = store._redis.scan_iter("soak:*", count=1000)
        return {key.decode().removeprefix("soak:") for key in found}

    def one_round(now: datetime) -> None:
        jobs = [admitted(store, chunks=3, care_plan=n % 3, idempotency_key=f"{now} {n}", now=now) for n in range(20)]
        for new, _ in jobs[::5]:
            store.cancel(new.job_id, now)
        while due := store.overdue("demo", 0, now + timedelta(hours=1)):
            for ref in due:
                claim = store.claim(ref, "w:1", now)
                kept = claim.verdict is Claimed.CANCEL
                store.complete(ref, Done(b"o", {"cancelled" if kept else "updated": 1}, retryable=kept), now)
        assert store.backlog("demo")[0] == 0
        sleep(0.5)

    one_round(NOW)
    after_one = keys()
    for n in range(1, 4):
        one_round(NOW + n * timedelta(minutes=1))
    assert keys() == after_one == {"seq:demo", "pace:demo", "backlog:demo", "stats", "jobs:demo", "expiring:demo"}
    assert store._redis.zcard("soak:jobs:demo") == 20, "those of the last round; the next batch takes them out"
    assert store.backlog("demo") == (0, 0)
    assert store.pace("demo").open_items == 0
