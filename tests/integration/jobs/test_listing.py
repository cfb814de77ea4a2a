"""Lists of jobs, on a real Valkey."""

from datetime import timedelta
from itertools import count

import pytest
from tests.builders import a_new_job
from tests.elapsing import elapse
from tests.services import Services

from carecase_worker.jobs.job import State
from carecase_worker.jobs.listing import JobLists
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import ChunkRef, Done, Which
from carecase_worker.settings.model import RedisSettings

_prefixes = count()
SECOND = timedelta(seconds=1)


@pytest.fixture
def listed(servers: Services) -> tuple[JobStore, JobLists]:
    """A job store that keeps results for a minute, and its lists."""
    prefix = f"list{next(_prefixes)}:"
    settings = RedisSettings.model_validate({"url": servers.redis_url, "prefix": prefix})
    return servers.store(prefix, retention_seconds=60), JobLists(settings)


def send(store: JobStore, **changes: object) -> str:
    new = a_new_job(**changes)
    store.admit(new, {0: b"p"})
    return new.job_id


def test_a_part_of_the_list_is_told_with_how_many_there_are(listed: tuple[JobStore, JobLists]) -> None:
    store, lists = listed
    sent = [send(store) for _ in range(7)]
    send(store, client="other")
    total, jobs = lists.jobs_of("demo", Which(2, 3))
    assert (total, [job.job_id for job in jobs]) == (7, [sent[4], sent[3], sent[2]])
    assert jobs[0].submitted_at == store.job(sent[4]).submitted_at
    assert (jobs[0].state, jobs[0].total, jobs[0].chunk_firsts) == (State.QUEUED, 1, ())
    assert lists.jobs_of("demo", Which(7, 3)) == (7, [])
    assert lists.jobs_of("nobody", Which(0, 3)) == (0, [])


def test_a_choice_is_counted_and_paged_by_itself(listed: tuple[JobStore, JobLists]) -> None:
    store, lists = listed
    sent = [send(store, database="one" if n % 2 else "two") for n in range(6)]
    store.complete(ChunkRef(sent[3], 0), Done(b"o", {"created": 1}))
    total, jobs = lists.jobs_of("demo", Which(1, 1, database="one"))
    assert (total, [job.job_id for job in jobs]) == (3, [sent[3]])
    total, jobs = lists.jobs_of("demo", Which(0, 9, state="completed"))
    assert (total, [job.job_id for job in jobs], jobs[0].counts["created"]) == (1, [sent[3]], 1)
    assert lists.jobs_of("demo", Which(0, 9, "completed", "two")) == (0, [])


def test_an_expired_job_is_not_listed_and_an_open_one_is_however_old(
    servers: Services, listed: tuple[JobStore, JobLists]
) -> None:
    store, lists = listed
    old, done = send(store), send(store)
    store.complete(ChunkRef(done, 0), Done(b"o", {"created": 1}))
    elapse(servers.redis_url, store, 50 * SECOND)
    assert lists.jobs_of("demo", Which(0, 9))[0] == 2
    elapse(servers.redis_url, store, 10 * SECOND)
    for _ in range(2):
        total, jobs = lists.jobs_of("demo", Which(0, 9))
        assert (total, [job.job_id for job in jobs]) == (1, [old])
    elapse(servers.redis_url, store, 1000 * SECOND)
    send(store)
    assert lists.jobs_of("demo", Which(0, 9))[0] == 2


def test_the_next_job_that_ends_takes_expired_ones_off_the_list(
    servers: Services, listed: tuple[JobStore, JobLists]
) -> None:
    store, lists = listed
    first, second = send(store), send(store)
    store.complete(ChunkRef(first, 0), Done(b"o", {"created": 1}))
    elapse(servers.redis_url, store, 100 * SECOND)
    store.complete(ChunkRef(second, 0), Done(b"o", {"created": 1}))
    assert lists._redis.zrange(store.keys.jobs("demo"), 0, -1) == [second.encode()]
    assert lists._redis.zrange(store.keys.expiring("demo"), 0, -1) == [second.encode()]
