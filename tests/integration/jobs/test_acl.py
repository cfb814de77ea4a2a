"""The users of Redis: every verb and doorbell works under the rules of the service, and nothing else does."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from tests.builders import a_new_job
from tests.services import Services

from carecase_worker.clock import SystemClock
from carecase_worker.jobs.acl import app_rules, flower_rules
from carecase_worker.jobs.job import COUNTS
from carecase_worker.jobs.presence import Presence
from carecase_worker.jobs.queue import Doorbells, celery_app
from carecase_worker.jobs.rates import Rates
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Cancelled, ChunkRef, Claimed, Completed, Done, Wait
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import Settings

HOUR = timedelta(hours=1)


@pytest.fixture
def settings(servers: Services) -> Settings:
    """The settings of a service that runs as the user `carecase`."""
    return load(
        environment={
            "CARECASE_REDIS_URL": servers.app_redis_url,
            "CARECASE_DATABASES_ACL_URL": "sqlite:///nowhere",
            "CARECASE_JOBS_RETENTION_SECONDS": "60",
            "CARECASE_JOBS_RING_AGAIN_SECONDS": "0.001",
        }
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[JobStore]:
    made = JobStore(settings.redis, settings.jobs)
    yield made
    made.close()


def test_every_verb_works_as_the_service(store: JobStore, settings: Settings) -> None:
    store.check()
    store.ping()
    presence = Presence(settings.redis, SystemClock())
    presence.try_write()
    presence.seen("a worker")
    assert presence.workers().seen >= 1
    presence.unseen("a worker")
    store.settle("acl", 0)
    assert store.unsettled(["acl"]) == []
    assert store.take_turn("acl", HOUR)
    one = a_new_job(database="acl", client="acl", idempotency_key="a key", chunk_firsts=(0, 1), total=2)
    store.stage(one.job_id, {0: b"items"})
    first, second = store.admit(one, {1: b"items"}).rings
    claim = store.claim(first, "a holder")
    assert claim.verdict is Claimed.APPLY
    store.release(first, "a holder", Wait(timedelta(seconds=1), pause=timedelta(milliseconds=1)))
    assert store.due_count("acl") == 2
    assert store.trouble("acl") is not None
    time.sleep(0.01)  # the pause
    assert store.overdue("acl", 0) != ()
    done = Done(b"outcomes", dict.fromkeys(COUNTS, 0) | {"created": 1}, retryable=True)
    assert store.complete(first, done).verdict is Completed.KEPT
    assert store.cancel(one.job_id)[0] is Cancelled.CANCELLING
    assert store.claim(second, "a holder").verdict is Claimed.CANCEL
    store.complete(second, done)
    assert store.job(one.job_id).state.final
    assert store.outcomes(one.job_id, [0, 1]) == [b"outcomes"] * 2
    assert store.payloads(one.job_id, [0]) == [b"items"]
    assert (store.pace("acl").open_items, store.backlog("acl")) == (0, (0, 0))
    assert store.stats()["acl", "created"] >= 2
    store.discard(one.job_id)
    assert store.admit(a_new_job(database="acl", client="acl"), {0: b"items"}).rings, "without a key, too"
    Rates(settings.redis, 1, 1).spend("acl")


def test_doorbells_ring_as_the_service(settings: Settings) -> None:
    doorbells = Doorbells(celery_app(settings))
    assert doorbells.waiting("acl") == 0
    doorbells.ring("acl", [ChunkRef("a job", number) for number in range(3)])
    assert doorbells.waiting("acl") == 3


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("CONFIG", "SET", "appendonly", "no"),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "carecase", "+@all"),
        ("DEBUG", "SLEEP", "0"),
        ("SHUTDOWN",),
        ("MONITOR",),
        ("REPLICAOF", "h", "1"),
        ("SCRIPT", "FLUSH"),
        ("SCAN", "0"),
        ("RANDOMKEY",),
        ("FUNCTION", "FLUSH"),
        ("GET", "another:key"),
        ("EVAL", "return redis.call('GET', 'another:key')", "0"),
        ("PUBLISH", "another", "x"),
    ],
)
@pytest.mark.parametrize("user", ["app", "flower"])
def test_nothing_else_works(servers: Services, user: str, command: tuple[str, ...]) -> None:
    lesser = redis.Redis.from_url(servers.app_redis_url if user == "app" else servers.flower_redis_url)
    with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)permission|acl|not allowed"):
        lesser.execute_command(*command)


def test_flower_sees_no_payload(servers: Services) -> None:
    lesser = redis.Redis.from_url(servers.flower_redis_url)
    for command in (("HGETALL", "c:payload:x"), ("EVAL", "return redis.call('HGETALL', KEYS[1])", "1", "c:payload:x")):
        with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)permission|acl|not allowed"):
            lesser.execute_command(*command)


def test_the_rules_are_for_the_configured_prefixes() -> None:
    assert app_rules("c:", "b:").startswith("~c:* &c:* ~b:* &b:* ")
    assert flower_rules("b:").startswith("~b:* &b:* ")
