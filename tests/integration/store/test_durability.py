"""What a Redis must do before a batch counts as accepted, and what becomes of one that does not do it."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import redis
from tests.acceptance.system import eventually
from tests.builders import a_new_job
from tests.integration.store.configuring import configured
from tests.ports import free_port
from tests.posing import VALKEY, posing_as
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.errors import JobNotFound, SettingsError, StoreUnavailable
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.job import Job, State
from carecase_worker.store.loop_store import LoopStore
from carecase_worker.store.operations.admission import Admitted, NewJob
from carecase_worker.store.operations.claims import ChunkResult, Claimed, Completed, RetryLater
from carecase_worker.store.redis.checkup import reach, redis_faults, redis_hints, refuse_unsupported
from carecase_worker.store.redis.client import StoreClient

SECOND = timedelta(seconds=1)
CREATED = ChunkResult(b"outcome", {"created": 1})


@pytest.fixture
def server(servers: Services) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        yield client


def admitted(store: Stores, chunks: int = 1) -> tuple[NewJob, list[ChunkRef]]:
    new = a_new_job(total=chunks, chunk_firsts=tuple(range(chunks)))
    admission = store.batches.admit(new, dict.fromkeys(range(chunks), b"p"))
    assert admission.verdict is Admitted.ADMITTED
    return new, list(admission.to_notify)


Admit = Callable[[NewJob], Admitted]


def in_threads(settings: RedisSettings) -> Admit:
    """Admission of large batches by an intake, and of all by anybody else."""
    store = Stores(settings, JobSettings())
    return lambda new: store.batches.admit(new, {0: b"p"}).verdict


def on_event_loop(settings: RedisSettings) -> Admit:
    """Admission of small batches by an intake."""

    async def admit(new: NewJob) -> Admitted:
        store = LoopStore(settings, JobSettings())
        try:
            return (await store.admit(new, {0: b"p"})).verdict
        finally:
            await store.close()

    return lambda new: asyncio.run(admit(new))


def no_longer_waits(server: "redis.Redis") -> bool:
    """Have Redis answer whoever waits for the disk; return False if nobody waits."""
    waiting = [client["id"] for client in server.client_list() if client["cmd"] == "waitaof"]
    return any(server.client_unblock(int(client)) for client in waiting)


@pytest.mark.parametrize("accepting", [in_threads, on_event_loop])
def test_a_batch_that_is_not_on_disk_is_not_accepted(
    servers: Services, server: "redis.Redis", accepting: Callable[[RedisSettings], Admit]
) -> None:
    """With `appendfsync no` it gets there whenever the system likes."""
    admit = accepting(RedisSettings.model_validate({"url": servers.redis_url, "prefix": "nofsync:"}))
    admit(a_new_job())  # Redis has the script from now on
    with configured(server, appendfsync="no"), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(admit, a_new_job())
        eventually(lambda: no_longer_waits(server) or answer.done())
        with pytest.raises(StoreUnavailable, match="has not confirmed that the batch is on disk"):
            answer.result()


@pytest.mark.parametrize("accepting", [in_threads, on_event_loop])
def test_a_batch_that_is_sent_again_with_its_script_is_not_accepted_either_before_it_is_on_disk(
    alone: str, accepting: Callable[[RedisSettings], Admit]
) -> None:
    """A Redis that was started anew has lost the scripts."""
    admit = accepting(RedisSettings.model_validate({"url": alone}))
    with redis.Redis.from_url(alone, decode_responses=True) as server, ThreadPoolExecutor(1) as pool:
        server.script_flush()
        with configured(server, appendfsync="no"):
            answer = pool.submit(admit, a_new_job())
            while not answer.done():
                no_longer_waits(server)
            with pytest.raises(StoreUnavailable, match="has not confirmed that the batch is on disk"):
                answer.result()


def test_without_fsync_at_every_write_admit_waits_for_the_disk(servers: Services, server: "redis.Redis") -> None:
    store = servers.store("everysec:")
    with configured(server, appendfsync="everysec"):
        store.client.check()
        new, to_notify = admitted(store)
        assert to_notify == [ChunkRef(new.job_id, 0)]


def test_a_redis_that_can_lose_batches_is_refused(servers: Services, server: "redis.Redis") -> None:
    store = servers.store("refused:")
    with configured(server, appendonly="no"), pytest.raises(SettingsError, match="appendonly yes"):
        store.client.check()
    with configured(server, maxmemory_policy="allkeys-lru"), pytest.raises(SettingsError, match="noeviction"):
        store.client.check()


@pytest.mark.parametrize("accepting", [in_threads, on_event_loop])
def test_a_redis_that_has_become_one_that_can_lose_batches_is_given_none(
    servers: Services, server: "redis.Redis", accepting: Callable[[RedisSettings], Admit]
) -> None:
    """It answers that it has no disk to wait for."""
    admit = accepting(RedisSettings.model_validate({"url": servers.redis_url, "prefix": "unsafe:"}))
    with configured(server, appendonly="no"), pytest.raises(StoreUnavailable, match=r"^the job store refuses: "):
        admit(a_new_job())
    assert admit(a_new_job()) is Admitted.ADMITTED


def test_who_can_lose_batches_may_say_so(servers: Services, server: "redis.Redis") -> None:
    """With `durability = "relaxed"` nobody waits for a disk, not even for one that there is."""
    relaxed = RedisSettings.model_validate({"url": servers.redis_url, "prefix": "relaxed:", "durability": "relaxed"})
    store = Stores(relaxed, JobSettings())
    for lax in ({"appendonly": "no"}, {"appendfsync": "no"}):
        with configured(server, **lax):
            store.client.check()
            new, to_notify = admitted(store)
            assert to_notify == [ChunkRef(new.job_id, 0)]


def test_a_full_redis_refuses_new_batches_whole_and_still_lets_work_get_done(
    store: Stores, server: "redis.Redis"
) -> None:
    new, to_notify = admitted(store, chunks=3)
    late = a_new_job()
    with configured(server, maxmemory="1mb"):
        with pytest.raises(StoreUnavailable):
            store.batches.admit(late, {0: b"p"})
        assert store.leases.claim(to_notify[0], "w:1").verdict is Claimed.APPLY
        while to_notify:
            to_notify += store.leases.complete(to_notify.pop(0), CREATED).to_notify
    assert store.jobs.job(new.job_id).state is State.COMPLETED
    with pytest.raises(JobNotFound):
        store.jobs.job(late.job_id)


def test_a_redis_that_takes_no_writes_leaves_nothing_half_done(
    store: Stores, server: "redis.Redis", elapse: Callable[[timedelta], None]
) -> None:
    def as_it_is() -> tuple[Job, int]:
        return replace(store.jobs.job(new.job_id), read_at=datetime.min), store.workload.due_count("demo")

    new, (ref,) = admitted(store)
    store.leases.claim(ref, "w:1")
    elapse(15 * SECOND)  # the lease
    before = as_it_is()
    with configured(server, min_replicas_to_write="1"):
        for operation in (
            lambda: store.leases.complete(ref, CREATED),
            lambda: store.leases.release([ref], "w:1", RetryLater(SECOND)),
            lambda: store.jobs.cancel(new.job_id),
            lambda: store.leases.claim(ref, "w:2"),
            lambda: store.leases.overdue("demo", 0),
        ):
            with pytest.raises(StoreUnavailable):
                operation()
        assert as_it_is() == before
    assert store.leases.complete(ref, CREATED).verdict is Completed.KEPT
    assert store.jobs.job(new.job_id).state is State.COMPLETED


def test_a_redis_can_be_better_than_it_must(servers: Services, server: "redis.Redis") -> None:
    """Limited in its memory, and used by a user that may do no more than the service needs."""
    every, own = (RedisSettings.model_validate({"url": url}) for url in (servers.redis_url, servers.app_redis_url))
    (hint,) = redis_hints(every)
    assert hint.startswith("lets this user do more than the service needs")
    assert redis_hints(own) == []
    for limit, fault in (("0", ["has no maxmemory"]), ("1gb", [])):
        with configured(server, maxmemory=limit):
            assert [text[: len("has no maxmemory")] for text in redis_faults(own)] == fault


def test_a_server_that_answers_is_judged_and_one_that_does_not_is_for_others_to_wait_for(servers: Services) -> None:
    refuse_unsupported(RedisSettings.model_validate({"url": servers.redis_url}))
    nowhere = RedisSettings.model_validate({"url": f"redis://127.0.0.1:{free_port()}/0"})
    refuse_unsupported(nowhere)
    with pytest.raises(StoreUnavailable, match="cannot be reached; check that Redis runs, and redis"):
        reach(nowhere)
    port = int(servers.redis_url.rpartition(":")[2].partition("/")[0])
    with posing_as(6, port, VALKEY) as old:
        settings = RedisSettings.model_validate({"url": servers.redis_url.replace(str(port), str(old))})
        with pytest.raises(StoreUnavailable, match=r"Valkey 6\..* is not supported"):
            refuse_unsupported(settings)
        with pytest.raises(StoreUnavailable, match=r"Valkey 6\..* is not supported"):
            StoreClient(settings).check()


def test_what_nobody_has_words_for_is_named_by_its_kind(store: Stores, server: "redis.Redis") -> None:
    server.set(store.keys.job("j"), "no record")
    with pytest.raises(StoreUnavailable, match=r"^the job store refuses: ResponseError$"):
        store.jobs.job("j")
