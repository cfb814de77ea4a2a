"""Standstill: for how long no worker has taken what is due, as the operations leave it."""

from datetime import timedelta

import pytest
import redis
from tests.builders import a_new_job
from tests.elapsing import elapse
from tests.services import Services
from tests.stores import JOBS, Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.settings.model import JobSettings
from carecase_worker.store.job import COUNTS
from carecase_worker.store.operations.claims import ChunkResult, RetryLater
from carecase_worker.store.workers.standstill import Standstill

LIMIT = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
DONE = ChunkResult(b"outcomes", dict.fromkeys(COUNTS, 0) | {"created": 1}, retryable=False)


@pytest.fixture
def standstill(store: Stores) -> Standstill:
    jobs = JobSettings.model_validate({"untaken_after_seconds": LIMIT.total_seconds(), **JOBS})
    return Standstill(store.client, jobs)


def minutes(age: timedelta | None) -> int | None:
    return None if age is None else round(age / MINUTE)


def admitted(store: Stores, database: str = "demo", chunks: int = 1) -> tuple[ChunkRef, ...]:
    firsts = tuple(range(chunks))
    job = a_new_job(database=database, chunk_firsts=firsts, total=chunks)
    return store.batches.admit(job, dict.fromkeys(firsts, b"items")).to_notify


def test_where_nothing_is_due_nothing_is_left_alone(standstill: Standstill) -> None:
    assert standstill.untaken("demo") is None
    assert standstill.everywhere(["demo", "other"]) is None
    assert standstill.everywhere([]) is None


def test_what_is_due_is_left_alone_since_it_was_accepted_and_the_oldest_counts(
    servers: Services, store: Stores, standstill: Standstill
) -> None:
    admitted(store)
    assert minutes(standstill.untaken("demo")) == 0
    elapse(servers.redis_url, store, 9 * MINUTE)
    admitted(store)
    store.leases.overdue("demo", 0)  # to be notified for is not to be taken
    assert minutes(standstill.untaken("demo")) == 9
    assert standstill.everywhere(["demo"]) is None
    elapse(servers.redis_url, store, MINUTE)
    assert minutes(standstill.everywhere(["demo", "nothing"])) == 10


def test_whoever_takes_a_chunk_ends_it_until_the_lease_is_over(
    servers: Services, store: Stores, standstill: Standstill
) -> None:
    first, _ = admitted(store, chunks=2)
    elapse(servers.redis_url, store, 20 * MINUTE)
    store.leases.claim(first, "a holder")
    assert standstill.untaken("demo") == timedelta(0)
    assert standstill.everywhere(["demo"]) is None
    elapse(servers.redis_url, store, MINUTE)
    assert minutes(standstill.untaken("demo")) == 21, "the holder is no more, and none has been completed"


def test_it_begins_anew_when_a_chunk_is_completed(servers: Services, store: Stores, standstill: Standstill) -> None:
    first, _ = admitted(store, chunks=2)
    elapse(servers.redis_url, store, 20 * MINUTE)
    store.leases.claim(first, "a holder")
    store.leases.complete(first, DONE)
    elapse(servers.redis_url, store, 3 * MINUTE)
    assert minutes(standstill.untaken("demo")) == 3


def test_a_database_that_is_away_is_left_alone_on_purpose(
    servers: Services, store: Stores, standstill: Standstill
) -> None:
    (chunk,) = admitted(store)
    store.leases.claim(chunk, "a holder")
    store.leases.release([chunk], "a holder", RetryLater(timedelta(seconds=1), open_circuit=timedelta(seconds=1)))
    elapse(servers.redis_url, store, 20 * MINUTE)
    assert standstill.untaken("demo") is None


def test_as_long_as_any_database_is_served_there_are_workers(
    servers: Services, store: Stores, standstill: Standstill
) -> None:
    admitted(store)
    elapse(servers.redis_url, store, 20 * MINUTE)
    (chunk,) = admitted(store, "other")
    assert standstill.everywhere(["demo", "other"]) is None, "of the other one's it has not been long"
    elapse(servers.redis_url, store, 15 * MINUTE)
    assert minutes(standstill.everywhere(["demo", "other"])) == 15
    store.leases.claim(chunk, "a holder")
    assert standstill.everywhere(["demo", "other"]) is None


def test_what_is_due_of_a_job_that_is_gone_is_nothing_to_take(
    servers: Services, store: Stores, standstill: Standstill
) -> None:
    (chunk,) = admitted(store)
    elapse(servers.redis_url, store, 20 * MINUTE)
    with redis.Redis.from_url(servers.redis_url) as server:
        server.delete(store.keys.job(chunk.job_id))
    assert standstill.untaken("demo") is None
    assert standstill.everywhere(["demo"]) is None
