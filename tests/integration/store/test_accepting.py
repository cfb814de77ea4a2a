"""Batches become jobs in the store, once and within bounds."""

from datetime import UTC, datetime

import pytest
from tests.builders import a_new_job
from tests.integration.store.jobs import MINUTE, WEEK, Elapse, admitted
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.errors import JobNotFound
from carecase_worker.store.job import State
from carecase_worker.store.operations.admission import Admitted, Kept, Staging
from carecase_worker.store.operations.claims import (
    Claimed,
)


def test_an_accepted_job_is_queued_and_its_first_chunks_can_be_claimed(store: Stores) -> None:
    before = datetime.now(UTC)
    new, to_notify = admitted(store, chunks=5)
    job = store.jobs.job(new.job_id)
    assert job.state is State.QUEUED
    assert job.total == 5
    assert job.processed == 0
    assert before <= job.submitted_at <= datetime.now(UTC)
    assert to_notify == [ChunkRef(new.job_id, 0), ChunkRef(new.job_id, 1)], "width is two"


def test_the_same_idempotency_key_gives_the_same_job(store: Stores) -> None:
    first, _ = admitted(store, idempotency_key="k")
    again = store.batches.admit(a_new_job(idempotency_key="k"), {0: b"p"})
    assert (again.verdict, again.job_id, again.to_notify) == (Admitted.KNOWN, first.job_id, ())
    other = store.batches.admit(a_new_job(idempotency_key="k", fingerprint="another body"), {0: b"p"})
    assert other.verdict is Admitted.REUSED
    assert store.batches.admit(a_new_job(idempotency_key="k", client="other"), {0: b"p"}).verdict is Admitted.ADMITTED
    assert store.workload.backlog("demo")[0] == 2


def test_a_batch_that_is_admitted_twice_becomes_one_job(store: Stores) -> None:
    new = a_new_job()
    for _ in range(2):
        assert store.batches.admit(new, {0: b"p"}).verdict is Admitted.ADMITTED
    assert store.workload.backlog("demo") == (1, 10)
    assert store.leases.claim(ChunkRef(new.job_id, 0), "w:1").verdict is Claimed.APPLY


def test_a_full_backlog_refuses_and_keeps_nothing(servers: Services) -> None:
    store = servers.store("full:", max_backlog_jobs=1)
    admitted(store)
    late = a_new_job()
    assert store.batches.admit(late, {0: b"p"}).verdict is Admitted.FULL
    with pytest.raises(JobNotFound):
        store.jobs.job(late.job_id)


def test_one_tenants_backlog_is_not_anothers(servers: Services) -> None:
    store = servers.store("tenants:", max_backlog_jobs=1)
    admitted(store)
    admitted(store, database="other")
    assert (store.workload.backlog("demo"), store.workload.backlog("other")) == ((1, 10), (1, 10))


def test_a_batch_that_lost_a_staged_chunk_is_not_admitted(store: Stores) -> None:
    new = a_new_job(total=2, chunk_firsts=(0, 1))
    assert store.batches.admit(new, {1: b"p"}).verdict is Admitted.LOST


def test_an_upload_that_breaks_off_is_removed_after_a_quarter_of_an_hour(store: Stores, elapse: Elapse) -> None:
    """Each piece gives a slow upload that long for the next one; nothing stays of one that was broken off."""
    late, broken_off = (a_new_job(total=3, chunk_firsts=(0, 1, 2)) for _ in range(2))
    for number in (0, 1):
        for new in (late, broken_off):
            store.batches.stage(Staging(new.job_id, "demo", "demo", number + 1, number + 1), {number: b"p"})
        elapse(14 * MINUTE)
    assert store.batches.admit(late, {2: b"p"}).verdict is Admitted.ADMITTED
    elapse(MINUTE)
    assert store.jobs.payloads(broken_off.job_id, [0, 1]) == [None, None]
    assert store.jobs.payloads(late.job_id, [0, 1, 2]) == [b"p"] * 3


@pytest.mark.parametrize("times", [1, 2])
def test_an_accepted_batch_does_not_expire_before_it_is_applied(store: Stores, elapse: Elapse, times: int) -> None:
    new = a_new_job()
    for _ in range(times):
        store.batches.admit(new, {0: b"p"})
    elapse(WEEK)
    lease = store.leases.claim(ChunkRef(new.job_id, 0), "w:1").lease
    assert lease is not None
    assert lease.payload == b"p"


def test_chunks_that_were_staged_belong_to_the_job_that_the_last_one_makes(store: Stores) -> None:
    new = a_new_job(total=2, chunk_firsts=(0, 1))
    store.batches.stage(Staging(new.job_id, "demo", "demo", 5, 1), {0: b"first"})
    to_notify = store.batches.admit(new, {1: b"second"}).to_notify
    leases = [store.leases.claim(ref, "w:1").lease for ref in to_notify]
    assert [lease.payload for lease in leases if lease] == [b"first", b"second"]


def test_each_byte_and_each_chunk_that_is_staged_is_counted_as_what_it_is(store: Stores) -> None:
    def kept(size: int, chunks: int) -> int:
        new = a_new_job()
        before = store.workload.kept("demo").get("demo", Kept()).size
        store.batches.stage(Staging(new.job_id, "demo", "demo", size, chunks), {0: b"p"})
        return store.workload.kept("demo")["demo"].size - before

    assert kept(1_001, 2) - kept(1, 2) == 1_000
    assert 0 < kept(1, 3) - kept(1, 2) == kept(1, 2) - kept(1, 1) < 1_000
