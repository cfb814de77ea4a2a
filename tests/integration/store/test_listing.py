"""Lists of jobs, on a real Valkey."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import redis
from tests.builders import a_new_job
from tests.elapsing import elapse
from tests.services import Services
from tests.steps import steps_each
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.job import LISTED, State
from carecase_worker.store.operations.claims import ChunkResult
from carecase_worker.store.queries.job_lists import FILTER_WINDOW, JobFilter, JobLists

_prefixes = count()
BOTH = ("one", "two")
SECOND = timedelta(seconds=1)


@pytest.fixture
def listed(servers: Services) -> tuple[Stores, JobLists]:
    """A job store that keeps results for a minute, and its lists."""
    prefix = f"list{next(_prefixes)}:"
    settings = RedisSettings.model_validate({"url": servers.redis_url, "prefix": prefix})
    return servers.store(prefix, retention_seconds=60), JobLists(settings)


def send(store: Stores, **changes: object) -> str:
    new = a_new_job(**changes)
    store.batches.admit(new, {0: b"p"})
    return new.job_id


def test_a_part_of_the_list_is_shown_with_how_many_there_are(listed: tuple[Stores, JobLists]) -> None:
    store, lists = listed
    sent = [send(store) for _ in range(7)]
    send(store, client="other")
    total, jobs = lists.jobs_of("demo", ["demo"], JobFilter(2, 3))
    assert (total, [job.job_id for job in jobs]) == (7, [sent[4], sent[3], sent[2]])
    assert jobs[0].submitted_at == store.jobs.job(sent[4]).submitted_at
    assert (jobs[0].state, jobs[0].total, jobs[0].chunk_firsts) == (State.QUEUED, 1, ())
    assert lists.jobs_of("demo", ["demo"], JobFilter(7, 3)) == (7, [])
    assert lists.jobs_of("nobody", ["demo"], JobFilter(0, 3)) == (0, [])


def test_a_choice_is_counted_and_paged_by_itself(listed: tuple[Stores, JobLists]) -> None:
    store, lists = listed
    sent = [send(store, database="one" if n % 2 else "two") for n in range(6)]
    store.leases.complete(ChunkRef(sent[3], 0), ChunkResult(b"o", {"created": 1}))
    total, jobs = lists.jobs_of("demo", BOTH, JobFilter(1, 1, database="one"))
    assert (total, [job.job_id for job in jobs]) == (3, [sent[3]])
    total, jobs = lists.jobs_of("demo", BOTH, JobFilter(0, 9, state="completed"))
    assert (total, [job.job_id for job in jobs], jobs[0].counts["created"]) == (1, [sent[3]], 1)
    assert lists.jobs_of("demo", BOTH, JobFilter(0, 9, "completed", "two")) == (0, [])
    assert [job.job_id for job in lists.jobs_of("demo", BOTH, JobFilter(1, 3))[1]] == sent[4:1:-1]
    for granted, database in ((["two"], "one"), ([], None), ([], "one"), (["two"], "three")):
        assert lists.jobs_of("demo", granted, JobFilter(0, 9, database=database)) == (0, [])
    assert lists.jobs_of("demo", ["one"], JobFilter(0, 9))[0] == 3


def test_jobs_that_became_final_at_a_moment_or_later_are_listed_to_the_microsecond(
    listed: tuple[Stores, JobLists],
) -> None:
    store, lists = listed
    first, second, _ = (send(store) for _ in range(3))
    for job_id in (first, second):
        store.leases.complete(ChunkRef(job_id, 0), ChunkResult(b"o", {"created": 1}))
    began, ended = (store.jobs.job(job_id).finished_at for job_id in (first, second))
    assert began is not None
    assert ended is not None
    since = {began: [first, second], began + timedelta(microseconds=1): [second], ended: [second]}
    for moment, expected in since.items():
        assert [job.job_id for job in lists.final_since("demo", ["demo"], moment)[1]] == expected
    assert lists.final_since("demo", ["demo"], ended + timedelta(microseconds=1)) == (True, [])


def test_jobs_are_listed_in_the_order_in_which_they_became_final(listed: tuple[Stores, JobLists]) -> None:
    store, lists = listed
    sent = [send(store) for _ in range(3)]
    for job_id in (sent[1], sent[2], sent[0]):
        store.leases.complete(ChunkRef(job_id, 0), ChunkResult(b"o", {"created": 1}))
    _, jobs = lists.final_since("demo", ["demo"], datetime.fromtimestamp(0, UTC))
    assert [job.job_id for job in jobs] == [sent[1], sent[2], sent[0]]


@pytest.mark.parametrize(("jobs", "are_all"), [(FILTER_WINDOW, True), (FILTER_WINDOW + 1, False)])
def test_a_client_with_more_jobs_than_are_searched_is_told_so(
    listed: tuple[Stores, JobLists], jobs: int, are_all: bool
) -> None:
    store, lists = listed
    store.client.redis.zadd(store.keys.jobs("demo", "demo"), {f"j{number}": number for number in range(jobs)})
    assert lists.final_since("demo", ["demo"], datetime.fromtimestamp(0, UTC)) == (are_all, [])


def test_an_expired_job_is_not_listed_and_an_open_one_is_however_old(
    servers: Services, listed: tuple[Stores, JobLists]
) -> None:
    store, lists = listed
    old, done = send(store), send(store)
    store.leases.complete(ChunkRef(done, 0), ChunkResult(b"o", {"created": 1}))
    elapse(servers.redis_url, store, 50 * SECOND)
    assert lists.jobs_of("demo", ["demo"], JobFilter(0, 9))[0] == 2
    elapse(servers.redis_url, store, 10 * SECOND)
    for _ in range(2):
        total, jobs = lists.jobs_of("demo", ["demo"], JobFilter(0, 9))
        assert (total, [job.job_id for job in jobs]) == (1, [old])
    elapse(servers.redis_url, store, 1000 * SECOND)
    send(store)
    assert lists.jobs_of("demo", ["demo"], JobFilter(0, 9))[0] == 2


def test_a_job_that_expires_while_it_is_being_listed_is_left_out(listed: tuple[Stores, JobLists]) -> None:
    store, lists = listed
    kept, gone = send(store), send(store)
    for job_id in (kept, gone):
        store.leases.complete(ChunkRef(job_id, 0), ChunkResult(b"o", {"created": 1}))
    store.client.redis.hset(store.keys.job(gone), "expires_ms", 1)
    assert [job.job_id for job in lists.jobs_of("demo", ["demo"], JobFilter(0, 9))[1]] == [kept]
    store.client.redis.delete(store.keys.job(gone))
    assert [job.job_id for job in lists.jobs_of("demo", ["demo"], JobFilter(0, 9))[1]] == [kept]


MANY = 5_000
MOST_STEPS = 500_000
"""Turns of an empty loop, some times what a page costs."""


@pytest.mark.parametrize("wanted", [JobFilter(0, 20, "queued"), JobFilter(0, 20), JobFilter(4_980, 20)])
def test_a_list_of_many_jobs_costs_the_intake_what_a_page_costs(
    servers: Services, listed: tuple[Stores, JobLists], wanted: JobFilter
) -> None:
    """Filtered or not, from wherever: reads of jobs that are not listed would show here, as millions."""
    store, lists = listed
    with redis.Redis.from_url(servers.redis_url) as client, client.pipeline(transaction=False) as pipe:
        empty = ("expires_ms", "care_plan", "data_key")
        record = {**{name: "" if name in empty else "1" for name in LISTED}, "client": "demo"}
        for number in range(MANY):
            state, database = "queued" if number < 20 else "completed", BOTH[number % 2]
            pipe.hset(store.keys.job(f"j{number}"), mapping={**record, "state": state, "database": database})
            pipe.zadd(store.keys.jobs(database, "demo"), {f"j{number}": number})
        pipe.execute()
    total, jobs = lists.jobs_of("demo", BOTH, wanted)
    assert (total, len(jobs)) == (MANY if wanted.state is None else 20, 20)
    assert steps_each(lambda: lists.jobs_of("demo", BOTH, wanted), 1, MOST_STEPS) < MOST_STEPS
