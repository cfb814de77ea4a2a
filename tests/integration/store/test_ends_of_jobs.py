"""Jobs end: completed, cancelled, expired; and what they leave."""

from datetime import timedelta
from math import inf

import redis
from tests.elapsing import elapse as elapse_for
from tests.integration.store.jobs import SECOND, WEEK, Elapse, admitted, complete, finish
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.store.job import Cancelled, State
from carecase_worker.store.operations.admission import Kept
from carecase_worker.store.operations.claims import (
    ChunkResult,
    Claimed,
)
from carecase_worker.store.queries.open_jobs import OpenJobs
from carecase_worker.worker.attempts.placing import Placer


def test_each_completed_chunk_opens_the_next_and_the_last_one_ends_the_job(store: Stores) -> None:
    new, to_notify = admitted(store, chunks=5)
    done = finish(store, to_notify)
    assert [ref.chunk_no for ref in done] == [0, 1, 2, 3, 4]
    job = store.jobs.job(new.job_id)
    assert job.state is State.COMPLETED
    assert job.processed == job.total
    assert job.finished_at is not None
    assert job.expires_at == job.finished_at.replace(microsecond=job.finished_at.microsecond // 1000 * 1000) + WEEK
    assert store.workload.due_count("demo") == 0
    assert store.workload.backlog("demo") == (0, 0)


def test_the_completion_of_a_last_chunk_names_the_job_that_it_ends(store: Stores) -> None:
    new, refs = admitted(store, 2)
    finals = [store.leases.complete(ref, ChunkResult(b"outcome", {"created": 1})).final for ref in (*refs, refs[1])]
    assert finals == [(), (new.job_id,), ()], "and only the first time"


def test_a_cancelled_job_ends_cancelled_once_its_chunks_are(store: Stores) -> None:
    new, to_notify = admitted(store, chunks=3)
    complete(store, to_notify[0])
    assert store.jobs.cancel(new.job_id)[0] is Cancelled.CANCELLING
    for n in (1, 2):
        ref = ChunkRef(new.job_id, n)
        assert store.leases.claim(ref, "w:1").verdict is Claimed.CANCEL
        complete(store, ref, cancelled=1)
    job = store.jobs.job(new.job_id)
    assert job.state is State.CANCELLED
    assert (job.counts["created"], job.counts["cancelled"]) == (1, 2)
    assert store.jobs.cancel(new.job_id)[0] is Cancelled.FINAL


def test_a_job_cancelled_too_late_is_completed(store: Stores) -> None:
    new, (ref,) = admitted(store)
    store.leases.claim(ref, "w:1")
    store.jobs.cancel(new.job_id)
    complete(store, ref)
    assert store.jobs.job(new.job_id).state is State.COMPLETED


def test_the_rate_of_a_database_is_measured_from_what_is_completed(store: Stores, elapse: Elapse) -> None:
    new, to_notify = admitted(store, chunks=6)
    while to_notify:
        elapse(timedelta(milliseconds=500))
        to_notify += complete(store, to_notify.pop(0))
    pace = store.workload.pace("demo")
    assert pace.open_items == 0
    assert 1 <= pace.items_per_second <= 3
    assert pace.now_per_second == pace.items_per_second
    elapse(10 * SECOND)
    assert store.workload.pace("demo").now_per_second == 0, "nothing has been completed for ten seconds"
    assert store.workload.stats()[("demo", "created")] >= new.total


def test_expired_jobs_leave_nothing_behind(servers: Services) -> None:
    store = servers.store("soak:", width=2, retention_seconds=60, renotify_after_seconds=0.001)
    placer = Placer(store.leases, OpenJobs(store.client), "w:1")

    def keys() -> set[str]:
        with redis.Redis.from_url(servers.redis_url) as raw:
            return {key.decode().removeprefix("soak:") for key in raw.scan_iter("soak:*", count=1000)}

    def one_round(number: int) -> None:
        jobs = [admitted(store, chunks=3, care_plan=n % 3, idempotency_key=f"{number} {n}") for n in range(20)]
        for new, _ in jobs[::5]:
            store.jobs.cancel(new.job_id)
        while store.workload.due_count("demo"):
            for ref in store.leases.overdue("demo", 0):
                claim = store.leases.claim(ref, "w:1")
                if claim.verdict is Claimed.UNPLACED:
                    placer.place("demo", inf)
                if claim.lease is None:
                    continue
                kept = claim.verdict is Claimed.CANCEL
                store.leases.complete(ref, ChunkResult(b"o", {"cancelled" if kept else "updated": 1}, retryable=kept))
        assert store.workload.backlog("demo")[0] == 0
        elapse_for(servers.redis_url, store, timedelta(minutes=3))
        store.leases.overdue("demo", 0)

    one_round(0)
    after_one = keys()
    for number in range(1, 4):
        one_round(number)
    assert keys() == after_one == {"seq:demo", "pace:demo", "backlog:demo", "stats", "measures", "kept:demo"}
    assert store.workload.kept("demo") == {"demo": Kept(0, 0)}
    assert store.workload.backlog("demo") == (0, 0)
    assert store.workload.pace("demo").open_items == 0


def test_chunks_that_are_committed_are_named_in_order_whichever_was_first(store: Stores) -> None:
    new, (first, second) = admitted(store, chunks=2)
    complete(store, second)
    complete(store, first)
    assert store.jobs.committed(new.job_id) == [0, 1]
