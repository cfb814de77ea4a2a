"""Lists of jobs, on a real Valkey."""

from datetime import timedelta
from itertools import count

import pytest
from tests.builders import NOW, a_new_job
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


def send(store: JobStore, moment: int, **changes: object) -> str:
    new = a_new_job(**changes)
    store.admit(new, {0: b"p"}, NOW + moment * SECOND)
    return new.job_id


def test_a_part_of_the_list_is_told_with_how_many_there_are(listed: tuple[JobStore, JobLists]) -> None:
    store, lists = listed
    sent = [send(store, n) for n in range(7)]
    send(store, 8, client="other")
    total, jobs = lists.jobs_of("demo", Which(2, 3), NOW)
    assert (total, [job.job_id for job in jobs]) == (7, [sent[4], sent[3], sent[2]])
    assert jobs[0].submitted_at == NOW + 4 * SECOND
    assert (jobs[0].state, jobs[0].total, jobs[0].chunk_firsts) == (State.QUEUED, 1, ())
    assert lists.jobs_of("demo", Which(7, 3), NOW) == (7, [])
    assert lists.jobs_of("nobody", Which(0, 3), NOW) == (0, [])


def test_a_choice_is_counted_and_paged_by_itself(listed: tuple[JobStore, JobLists]) -> None:
    store, lists = listed
    sent = [send(store, n, database="one" if n % 2 else "two") for n in range(6)]
    store.complete(ChunkRef(sent[3], 0), Done(b"o", {"created": 1}), NOW)
    total, jobs = lists.jobs_of("demo", Which(1, 1, database="one"), NOW)
    assert (total, [job.job_id for job in jobs]) == (3, [sent[3]])
    total, jobs = lists.jobs_of("demo", Which(0, 9, state="completed"), NOW)
    assert (total, [job.job_id for job in jobs], jobs[0].counts["created"]) == (1, [sent[3]], 1)
    assert lists.jobs_of("demo", Which(0, 9, "completed", "two"), NOW) == (0, [])


def test_an_expired_job_is_not_listed_and_an_open_one_is_however_old(listed: tuple[JobStore, JobLists]) -> None:
    store, lists = listed
    old, done = send(store, 0), send(store, 1)
    store.complete(ChunkRef(done, 0), Done(b"o", {"created": 1}), NOW + 2 * SECOND)
    assert lists.jobs_of("demo", Which(0, 9), NOW + 61 * SECOND)[0] == 2
    for _ in range(2):
        total, jobs = lists.jobs_of("demo", Which(0, 9), NOW + 62 * SECOND)
        assert (total, [job.job_id for job in jobs]) == (1, [old])
    send(store, 1000)
    assert lists.jobs_of("demo", Which(0, 9), NOW + 1000 * SECOND)[0] == 2


def test_the_next_job_that_ends_takes_expired_ones_off_the_list(listed: tuple[JobStore, JobLists]) -> None:
    store, lists = listed
    first, second = send(store, 0), send(store, 100)
    store.complete(ChunkRef(first, 0), Done(b"o", {"created": 1}), NOW)
    store.complete(ChunkRef(second, 0), Done(b"o", {"created": 1}), NOW + 100 * SECOND)
    assert lists._redis.zrange(store.keys.jobs("demo"), 0, -1) == [second.encode()]
    assert lists._redis.zrange(store.keys.expiring("demo"), 0, -1) == [second.encode()]
