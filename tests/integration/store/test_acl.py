"""The users of Redis: every operation and notification works under the rules of the service, and nothing else does."""

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from tests.acceptance.system import eventually
from tests.builders import a_new_job
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import UNSEALED
from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.clock import SystemClock
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import Settings
from carecase_worker.store.job import COUNTS, Cancelled, Purged
from carecase_worker.store.operations.admission import Admitted, Staging
from carecase_worker.store.operations.claims import ChunkResult, Claimed, Completed, RetryLater
from carecase_worker.store.queries.job_lists import JobFilter, JobLists
from carecase_worker.store.rate_limit import RateLimiter
from carecase_worker.store.redis.acl import APP, FLOWER, app_rules, flower_rules
from carecase_worker.store.rewrapping import Rewrapping
from carecase_worker.store.workers.intervals import Intervals
from carecase_worker.store.workers.presence import Presence

HOUR = timedelta(hours=1)
_REDIS_AWAY = Path(__file__).parents[3] / "docs" / "operations" / "redis-away.md"


@pytest.fixture
def settings(servers: Services) -> Settings:
    """The settings of a service that runs as the user `carecase`."""
    return load(
        environment={
            "CARECASE_REDIS_URL": servers.app_redis_url,
            "CARECASE_DATABASES_ACL_URL": "sqlite:///nowhere",
            "CARECASE_JOBS_RETENTION_SECONDS": "60",
            "CARECASE_JOBS_RENOTIFY_AFTER_SECONDS": "0.001",
        }
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[Stores]:
    made = Stores(settings.redis, settings.jobs)
    yield made
    made.client.close()


def test_every_operation_works_as_the_service(store: Stores, settings: Settings) -> None:
    store.client.check()
    store.client.ping()
    presence = Presence(store.client, SystemClock())
    presence.try_write()
    presence.seen("a worker")
    assert presence.workers().seen >= 1
    presence.unseen("a worker")
    store.leases.settle("acl", 0)
    assert store.leases.unsettled(["acl"]) == []
    assert Intervals(store.client).try_acquire("acl", HOUR)
    one = a_new_job(database="acl", client="acl", idempotency_key="a key", chunk_firsts=(0, 1), total=2)
    staging = Staging(one.job_id, "acl", "acl", 5, 1)
    assert store.batches.stage(staging, {0: b"items"}).verdict is Admitted.STAGED
    first, second = store.batches.admit(one, {1: b"items"}).to_notify
    claim = store.leases.claim(first, "a holder")
    assert claim.verdict is Claimed.APPLY
    store.leases.release([first], "a holder", RetryLater(timedelta(seconds=1), open_circuit=timedelta(milliseconds=1)))
    assert store.workload.due_count("acl") == 2
    assert store.workload.trouble("acl") is not None
    eventually(lambda: store.leases.overdue("acl", 0) != (), 60, "the circuit is half open")
    done = ChunkResult(b"outcomes", dict.fromkeys(COUNTS, 0) | {"created": 1}, retryable=True)
    assert store.leases.complete(first, done).verdict is Completed.KEPT
    assert store.jobs.cancel(one.job_id)[0] is Cancelled.CANCELLING
    assert store.leases.claim(second, "a holder").verdict is Claimed.CANCEL
    store.leases.complete(second, done)
    assert store.jobs.job(one.job_id).state.final
    assert store.jobs.outcomes(one.job_id, [0, 1]) == [b"outcomes"] * 2
    assert store.jobs.payloads(one.job_id, [0]) == [b"items"]
    assert (store.workload.pace("acl").open_items, store.workload.backlog("acl")) == (0, (0, 0))
    assert store.workload.stats()["acl", "created"] >= 2
    assert "acl" in Rewrapping(store.client, store.jobs, UNSEALED).databases()
    store.batches.discard(staging)
    assert store.workload.kept("acl")["acl"].jobs >= 1
    assert JobLists(settings.redis).jobs_of("acl", ["acl"], JobFilter(0, 1))[0] >= 1
    assert store.jobs.purge(one.job_id) is Purged.PURGED
    assert store.batches.admit(a_new_job(database="acl", client="acl"), {0: b"items"}).to_notify, "without a key, too"
    asyncio.run(RateLimiter(settings.redis, 1, 1).spend("acl"))


def test_notifications_notify_as_the_service(settings: Settings) -> None:
    notifier = Notifier(celery_app(settings))
    assert notifier.waiting("acl") == 0
    notifier.notify("acl", [ChunkRef("a job", number) for number in range(3)])
    assert notifier.waiting("acl") == 3


def test_what_the_page_has_an_operator_run_works_as_the_service(servers: Services) -> None:
    (line,) = re.findall(r"valkey-cli --user carecase (.+)'", _REDIS_AWAY.read_text())
    with redis.Redis.from_url(servers.app_redis_url) as service:
        assert isinstance(service.execute_command(*line.split()), int)


REFUSED = r"(?i)no permissions to (run|access)|ACL failure in script"
"""The words of the rules: a server refuses some commands in other words, whatever the rules are."""
OF_NOBODY = [
    ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "appendonly", "no"),
    ("ACL", "LIST"), ("ACL", "SETUSER", "carecase", "+@all"), ("SHUTDOWN",), ("MONITOR",),
    ("REPLICAOF", "h", "1"), ("SCRIPT", "FLUSH"), ("SCAN", "0"), ("RANDOMKEY",), ("FUNCTION", "FLUSH"),
    ("GET", "another:key"), ("EVAL", "return redis.call('GET', 'another:key')", "0"), ("PUBLISH", "another", "x"),
    ("PUBLISH", "b:/0.celery.pidbox", "x"), ("SUBSCRIBE", "b:/0.celery.pidbox"), ("CLIENT", "KILL", "TYPE", "normal"),
    ("SWAPDB", "0", "1"), ("MIGRATE", "h", "1", "c:x", "0", "1"), ("SAVE",), ("BGREWRITEAOF",),
    ("LATENCY", "RESET"),
]  # fmt: skip
NOT_OF_FLOWER = [
    ("EVAL", "while true do end", "0"), ("EVAL", "return 1", "0"), ("EVAL_RO", "return 1", "0"),
    ("EVALSHA", "0" * 40, "0"),
    ("SCRIPT", "LOAD", "return 1"), ("SCRIPT", "KILL"), ("FCALL", "f", "0"), ("FUNCTION", "LIST"),
    ("LPUSH", "b:cases.acl", "no JSON"), ("RPUSH", "b:cases.acl", "no JSON"), ("RPOP", "b:cases.acl"),
    ("BRPOP", "b:cases.acl", "1"), ("LRANGE", "b:cases.acl", "0", "-1"), ("DEL", "b:cases.acl"),
    ("UNLINK", "b:cases.acl"),
    ("RENAME", "b:cases.acl", "b:cases.other"), ("EXPIRE", "b:cases.acl", "0"), ("SET", "b:cases.acl", "x"),
    ("COPY", "b:cases.acl", "b:cases.other"), ("LMOVE", "b:cases.acl", "b:cases.other", "LEFT", "LEFT"),
    ("SORT", "b:cases.acl", "BY", "c:job:*", "GET", "c:job:*"), ("SORT_RO", "b:cases.acl", "BY", "c:job:*"),
    ("HSET", "b:unacked", "x", "no JSON"), ("ZADD", "b:unacked_index", "0", "x"), ("SET", "b:unacked_mutex", "x"),
    ("SADD", "b:_kombu.binding.cases.acl", "x"), ("HGETALL", "b:unacked"), ("LLEN", "b:unacked"),
    ("LLEN", "c:open:acl"),
    ("HGETALL", "c:payload:x"), ("GET", "c:seq:acl"), ("EXISTS", "c:job:x"), ("OBJECT", "ENCODING", "c:job:x"),
    ("DBSIZE",), ("TIME",), ("WAITAOF", "0", "0", "0"), ("WAIT", "1", "0"), ("CLIENT", "LIST"),
    ("CLIENT", "PAUSE", "1000"),
    ("CLIENT", "NO-EVICT", "on"), ("COMMAND", "DOCS"), ("MEMORY", "USAGE", "c:job:x"), ("WATCH", "c:job:x"),
    ("PUBLISH", "b:/0.celeryev/worker.heartbeat", "x"), ("PUBLISH", "c:final", "x"), ("SUBSCRIBE", "c:final"),
    ("PSUBSCRIBE", "*"), ("PSUBSCRIBE", "b:*"), ("SSUBSCRIBE", "c:final"), ("PUBSUB", "CHANNELS"),
    ("XADD", "b:x", "*", "a", "b"), ("PFADD", "b:x", "a"), ("GEOADD", "b:x", "1", "1", "a"),
    ("SETBIT", "b:x", "4294967295", "1"),
]  # fmt: skip
"""Among them what stopped the service as long as its user could do it: scripts, searches, messages that are none."""


@pytest.mark.parametrize("command", OF_NOBODY, ids=" ".join)
@pytest.mark.parametrize("user", ["app", "flower"])
def test_nothing_else_works(servers: Services, user: str, command: tuple[str, ...]) -> None:
    lesser = redis.Redis.from_url(servers.app_redis_url if user == "app" else servers.flower_redis_url)
    with pytest.raises(redis.exceptions.ResponseError, match=REFUSED):
        lesser.execute_command(*command)


@pytest.mark.parametrize("user", [APP, FLOWER])
def test_the_rules_refuse_debugging_where_the_server_allows_it(servers: Services, user: str) -> None:
    """The server of these tests refuses it to everyone, so it is asked what the rules say."""
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as server:
        assert "no permissions to run the 'debug' command" in server.acl_dryrun(user, "DEBUG", "SLEEP", "0")
        assert server.acl_dryrun(user, "PING") == "OK"


def test_flower_counts_messages_and_listens_and_can_do_nothing_else(servers: Services) -> None:
    with redis.Redis.from_url(servers.flower_redis_url) as lesser:
        refused = [command for command in NOT_OF_FLOWER if not _is_refused(lesser, command)]
        assert refused == []
        assert lesser.llen("b:cases.acl") >= 0
        with lesser.pubsub() as channel:
            channel.psubscribe("b:/0.celeryev/*")
            assert channel.get_message(timeout=5) is not None


def _is_refused(client: "redis.Redis", command: tuple[str, ...]) -> bool:
    try:
        client.execute_command(*command)
    except redis.exceptions.ResponseError as error:
        return re.search(REFUSED, str(error)) is not None
    return False


def test_the_rules_are_for_the_configured_prefixes() -> None:
    assert app_rules("c:", "b:").startswith("~c:* ~b:* &c:* &b:/0.celeryev/* ")
    assert flower_rules("b:").startswith("%R~b:cases.* &b:/0.celeryev/* +auth ")
    assert "+@" not in flower_rules("b:"), "a later server may put more into a category"
