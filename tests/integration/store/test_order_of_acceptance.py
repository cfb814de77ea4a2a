"""The order of acceptance: later batches are newer, whatever clocks and a new Redis do."""

from datetime import UTC, datetime

import redis
from tests.integration.store.jobs import DAY, admitted
from tests.services import Services
from tests.stores import Stores

from carecase_worker.clock import epoch_ms, milliseconds
from carecase_worker.store.operations.claims import Claimed


def test_the_order_of_acceptance_only_grows_even_if_the_clock_is_set_back(servers: Services, store: Stores) -> None:
    """The time of acceptance is the clock's nevertheless."""
    first = store.jobs.job(admitted(store)[0].job_id)
    assert abs(first.seq - epoch_ms(first.submitted_at)) <= 1
    with redis.Redis.from_url(servers.redis_url) as raw:
        raw.incrby(f"{store.keys.prefix}seq:demo", milliseconds(DAY))
    before = datetime.now(UTC)
    jobs = [store.jobs.job(admitted(store)[0].job_id) for _ in range(3)]
    assert [job.seq - first.seq - milliseconds(DAY) for job in jobs] == [1, 2, 3]
    moments = [job.submitted_at for job in jobs]
    assert moments == sorted(set(moments))
    assert before <= moments[0]
    assert moments[-1] <= datetime.now(UTC)


def test_tenants_do_not_wait_for_each_other(store: Stores) -> None:
    admitted(store, care_plan=1)
    _, (ref,) = admitted(store, care_plan=2, database="other")
    assert store.leases.claim(ref, "w:1").verdict is Claimed.APPLY


def test_batches_sent_to_a_new_redis_are_newer_than_all_that_the_database_holds(store: Stores) -> None:
    """Jobs admitted before anybody has looked move up together; those admitted later come after them."""
    (first, (ref,)), (second, _), _ = (admitted(store, care_plan=plan) for plan in (None, 7, None))
    before = [store.jobs.job(new.job_id).seq for new in (first, second)]
    lease = store.leases.claim(ref, "w:1").lease
    assert lease is not None
    assert lease.unsettled
    assert store.leases.unsettled(["demo", "other"]) == ["demo", "other"]
    highest = before[0] + milliseconds(DAY)
    assert store.leases.settle("demo", highest)
    assert store.leases.unsettled(["demo", "other"]) == ["other"]
    jobs = [store.jobs.job(new.job_id) for new in (first, second, admitted(store)[0])]
    assert not any(job.unsettled for job in jobs)
    assert highest < jobs[0].seq < jobs[1].seq < jobs[2].seq
    assert jobs[1].seq - jobs[0].seq == before[1] - before[0]
    assert jobs[2].submitted_at <= datetime.now(UTC), "the order is ahead, the clock is not"
    again = store.leases.claim(ref, "w:1").lease
    assert again is not None
    assert (again.seq, again.unsettled, again.history.deaths) == (jobs[0].seq, False, 0)
    assert not store.leases.settle("demo", highest + milliseconds(DAY)), "once for all"
    assert store.jobs.job(first.job_id).seq == jobs[0].seq


def test_jobs_keep_their_place_if_the_database_has_nothing_newer(store: Stores) -> None:
    new, _ = admitted(store)
    seq = store.jobs.job(new.job_id).seq
    assert store.leases.settle("demo", seq - 1)
    assert (store.jobs.job(new.job_id).seq, store.jobs.job(new.job_id).unsettled) == (seq, False)
    assert not store.jobs.job(admitted(store)[0].job_id).unsettled


def test_a_restored_redis_keeps_the_order_of_the_jobs_that_it_has(servers: Services, store: Stores) -> None:
    """`settled` is taken out, as docs/operations/redis-away.md says: what is admitted from then on starts above."""
    store.leases.settle("demo", 0)
    old, _ = admitted(store)
    seq = store.jobs.job(old.job_id).seq
    redis.Redis.from_url(servers.redis_url).delete(store.keys.settled("demo"))
    new, _ = admitted(store)
    assert store.leases.settle("demo", seq + milliseconds(DAY))
    assert store.jobs.job(old.job_id).seq == seq
    assert store.jobs.job(new.job_id).seq > seq + milliseconds(DAY)
