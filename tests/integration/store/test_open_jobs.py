"""The sets of open jobs' keys: read as they were admitted, or not at all."""

from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import redis
from tests.builders import a_new_job
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import DataKey, Kind, Seals
from carecase_worker.batches.key_sets import KeySet
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.operations.admission import JobSeal, NewJob
from carecase_worker.store.operations.claims import ChunkResult
from carecase_worker.store.queries.open_jobs import OpenJob, OpenJobs

SEALS = Seals({"k": b"k" * 32})
OTHERS = {
    "no key": Seals({}),
    "another key": Seals({"other": b"o" * 32}),
    "another of that name": Seals({"k": b"o" * 32}),
}


def as_set(*keys: int) -> KeySet:
    return KeySet(array("I", keys))


@pytest.fixture
def redis_settings(servers: Services) -> RedisSettings:
    return RedisSettings(url=servers.redis_url, prefix=f"open-{uuid4()}:")


@pytest.fixture
def store(redis_settings: RedisSettings, servers: Services) -> Iterator[Stores]:
    store = servers.store(redis_settings.prefix)
    yield store
    store.client.close()


def admitted(store: Stores, *keys: int, seals: Seals = SEALS, **changes: Any) -> NewJob:
    """A job that writes cases with these keys, sealed if there is something to seal with."""
    new, key = a_new_job(**changes), seals.new_key()
    packed = as_set(*keys).packed()
    if isinstance(key, DataKey):
        packed = key.seal(Kind.KEYS, ChunkRef(new.job_id, 0), packed)
        wrapped = seals.wrap(key, new.binding, new.body_sha256)
        new = replace(new, seal=JobSeal(wrapped, *key.order_blocks()))
    new = replace(new, key_set=packed)
    store.batches.admit(new, {0: b"payload"})
    return new


def keys_read(open_jobs: OpenJobs, *keys: int) -> list[set[int] | None]:
    """Which of some keys the set of each open job has, in order of acceptance; None where no set can be read."""
    _, there = open_jobs.unplaced("demo")
    sets = open_jobs.key_sets(there)
    sets_in_order = [sets[job.job_id] for job in there]
    return [None if one is None else {key for key in keys if one.meets(as_set(key))} for one in sets_in_order]


@pytest.mark.parametrize("seals", [SEALS, Seals({})], ids=["sealed", "not sealed"])
def test_open_jobs_are_returned_with_the_keys_that_they_write(
    store: Stores, redis_settings: RedisSettings, seals: Seals
) -> None:
    first, second = admitted(store, 1, 2, seals=seals), admitted(store, 2, 3, seals=seals, care_plan=-5, strict=True)
    open_jobs = OpenJobs(store.client, seals)
    unplaced, there = open_jobs.unplaced("demo")
    assert [(job.job_id, job.care_plan) for job in there] == [(first.job_id, ""), (second.job_id, "-5")]
    assert unplaced == there[1:]
    assert keys_read(open_jobs, 1, 2, 3) == [{1, 2}, {2, 3}]
    store.leases.complete(ChunkRef(first.job_id, 0), ChunkResult(b"", {"created": 1}))
    assert keys_read(open_jobs, 1, 2, 3) == [{2, 3}], "a final job is out"


def test_however_many_jobs_are_open_each_set_is_read(store: Stores, redis_settings: RedisSettings) -> None:
    keys = range(1, 121)
    for key in keys:
        admitted(store, key, seals=Seals({}))
    assert keys_read(OpenJobs(store.client), *keys) == [{key} for key in keys]


@pytest.mark.parametrize("seals", OTHERS.values(), ids=OTHERS)
def test_a_set_whose_key_is_not_here_is_not_read(store: Stores, redis_settings: RedisSettings, seals: Seals) -> None:
    admitted(store, 1)
    assert keys_read(OpenJobs(store.client, seals), 1) == [None]


def test_where_all_is_to_be_sealed_a_set_that_is_not_is_not_read(store: Stores, redis_settings: RedisSettings) -> None:
    admitted(store, 1, seals=Seals({}))
    assert keys_read(OpenJobs(store.client, SEALS), 1) == [None]


def test_a_set_that_somebody_changed_is_not_read(
    store: Stores, redis_settings: RedisSettings, raw_redis: redis.Redis
) -> None:
    one, other = admitted(store, 1), admitted(store, 2)
    raw_redis.copy(store.keys.key_set(other.job_id), store.keys.key_set(one.job_id), replace=True)
    assert keys_read(OpenJobs(store.client, SEALS), 1, 2) == [None, {2}]


def test_a_set_whose_record_is_not_whole_is_not_read(
    store: Stores, redis_settings: RedisSettings, raw_redis: redis.Redis
) -> None:
    one, _ = admitted(store, 1), admitted(store, 2)
    raw_redis.hdel(store.keys.job(one.job_id), "chunks")
    assert keys_read(OpenJobs(store.client, SEALS), 1, 2) == [None, {2}]


def test_a_job_that_has_ended_since_is_returned_with_those_to_place(
    store: Stores, redis_settings: RedisSettings, raw_redis: redis.Redis
) -> None:
    raw_redis.zadd(store.keys.unplaced("demo"), {"gone": 1})
    assert OpenJobs(store.client).unplaced("demo") == ([OpenJob("gone", 0, "")], [])


def test_sets_are_read_once(store: Stores, redis_settings: RedisSettings, raw_redis: redis.Redis) -> None:
    jobs = [admitted(store, key) for key in (1, 2)]
    open_jobs = OpenJobs(store.client, SEALS)
    assert keys_read(open_jobs, 1, 2) == [{1}, {2}]
    for job in jobs:
        raw_redis.delete(store.keys.key_set(job.job_id))
    assert keys_read(open_jobs, 1, 2) == [{1}, {2}]


def test_the_newest_sets_for_which_there_is_no_memory_count_as_unknown(
    store: Stores, redis_settings: RedisSettings
) -> None:
    """So their batches wait as if they shared a case with all; a process reads no more however many are open."""
    first, *_ = [admitted(store, key, key + 1) for key in range(1, 200, 2)]
    open_jobs = OpenJobs(store.client, SEALS, max_bytes=2 * as_set(1, 2).memory_bytes)
    assert keys_read(open_jobs, *range(1, 7)) == [{1, 2}, {3, 4}, *[None] * 98]
    assert keys_read(open_jobs, *range(1, 7)) == [{1, 2}, {3, 4}, *[None] * 98], "nor does the next call"
    store.leases.complete(ChunkRef(first.job_id, 0), ChunkResult(b"", {"created": 1}))
    assert keys_read(open_jobs, *range(1, 7)) == [{3, 4}, {5, 6}, *[None] * 97], "one that has ended makes room"
