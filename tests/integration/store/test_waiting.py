"""Who waits for a job is woken, whatever happens to the connection meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs
from tests.builders import a_new_job
from tests.posing import passing_on
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.job import State
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.listening.completions import JobCompletions
from carecase_worker.store.listening.followers import Follower
from carecase_worker.store.operations.claims import ChunkResult

_prefixes = count()
Scene = Callable[[JobStore, JobCompletions], Coroutine[Any, Any, None]]


@asynccontextmanager
async def listening(completions: JobCompletions) -> AsyncIterator[None]:
    task = asyncio.create_task(completions.listen())
    try:
        yield
    finally:
        task.cancel()


@pytest.fixture
def play(servers: Services) -> Callable[[Scene], None]:
    """Runs a scene with a store and who waits."""

    def run(scene: Scene) -> None:
        prefix = f"waiting{next(_prefixes)}:"
        completions = JobCompletions(RedisSettings.model_validate({"url": servers.redis_url, "prefix": prefix}))
        asyncio.run(scene(servers.store(prefix), completions))

    return run


def admitted(store: JobStore) -> str:
    new = a_new_job()
    store.admit(new, {0: b"p"})
    return new.job_id


def finish(store: JobStore, job_id: str) -> None:
    store.complete(ChunkRef(job_id, 0), ChunkResult(b"o", {"created": 1}))
    assert store.job(job_id).state is State.COMPLETED


async def subscribed(store: JobStore, clients: int = 1) -> None:
    while store._redis.pubsub_numsub(store.keys.final)[0][1] != clients:
        await asyncio.sleep(0.01)


def test_the_end_of_a_job_wakes_all_who_wait_for_it_and_nobody_else(play: Callable[[Scene], None]) -> None:
    async def scene(store: JobStore, completions: JobCompletions) -> None:
        mine, other = admitted(store), admitted(store)
        async with listening(completions):
            await subscribed(store)
            with (
                completions.subscribe(mine) as one,
                completions.subscribe(mine) as two,
                completions.subscribe(other) as three,
            ):
                finish(store, mine)
                async with asyncio.timeout(4):
                    await one.wait()
                    await two.wait()
                assert not three.is_set()
            assert list(completions._awaited) == []

    play(scene)


def test_an_end_before_anybody_listens_is_noticed(play: Callable[[Scene], None]) -> None:
    async def scene(store: JobStore, completions: JobCompletions) -> None:
        job_id = admitted(store)
        with completions.subscribe(job_id) as event, completions.subscribe("gone") as gone:
            finish(store, job_id)
            async with listening(completions), asyncio.timeout(4):
                await event.wait()
                await gone.wait()

    play(scene)


def test_an_end_while_the_connection_is_broken_is_noticed(play: Callable[[Scene], None]) -> None:
    async def scene(store: JobStore, completions: JobCompletions) -> None:
        job_id, later = admitted(store), admitted(store)
        async with listening(completions):
            await subscribed(store)
            with completions.subscribe(job_id) as event, completions.subscribe(later) as another:
                store._redis.client_kill_filter(_type="pubsub")
                finish(store, job_id)
                async with asyncio.timeout(5):
                    await event.wait()
                    assert not another.is_set()
                    await subscribed(store)
                    finish(store, later)
                    await another.wait()

    play(scene)


def test_a_connection_that_is_dead_at_the_other_end_is_noticed_and_made_anew(servers: Services) -> None:
    """It is quiet for five seconds before anybody asks, and as long for an answer."""
    passes = threading.Event()

    def change(piece: bytes) -> bytes:
        passes.wait()
        return piece

    async def scene(store: JobStore, completions: JobCompletions) -> None:
        job_id = admitted(store)
        async with asyncio.timeout(120), listening(completions):
            await subscribed(store)
            with completions.subscribe(job_id) as event, capture_logs() as logs:
                passes.clear()
                finish(store, job_id)
                while not logs:
                    await asyncio.sleep(0.01)
                assert not event.is_set()
                passes.set()
                await event.wait()
        assert (logs[0]["event"], logs[0]["reason"]) == ("not listening", "the job store does not answer")

    port, prefix = urlsplit(servers.redis_url).port, f"waiting{next(_prefixes)}:"
    assert port is not None
    passes.set()
    with passing_on(port, change) as way_in:
        url = servers.redis_url.replace(f":{port}/", f":{way_in}/")
        completions = JobCompletions(RedisSettings.model_validate({"url": url, "prefix": prefix}))
        asyncio.run(scene(servers.store(prefix), completions))


def test_a_cancelled_job_wakes_when_it_is_final(play: Callable[[Scene], None]) -> None:
    async def scene(store: JobStore, completions: JobCompletions) -> None:
        job_id = admitted(store)
        async with listening(completions):
            await subscribed(store)
            with completions.subscribe(job_id) as event:
                store.cancel(job_id)
                await asyncio.sleep(0.1)
                assert not event.is_set()
                store.complete(ChunkRef(job_id, 0), ChunkResult(b"o", {"cancelled": 1}))
                async with asyncio.timeout(4):
                    await event.wait()

    play(scene)


def test_after_the_end_nobody_waits(play: Callable[[Scene], None]) -> None:
    async def scene(_: JobStore, completions: JobCompletions) -> None:
        with completions.subscribe("one") as before:
            completions.end()
            with completions.subscribe("two") as after:
                assert before.is_set()
                assert after.is_set()

    play(scene)


def a_job_of_two_chunks(store: JobStore) -> str:
    new = a_new_job(total=2, chunk_firsts=(0, 1))
    store.admit(new, {0: b"p", 1: b"p"})
    return new.job_id


async def listeners(store: JobStore, count: int) -> None:
    while store._redis.pubsub_numsub(store.keys.progress)[0][1] != count:
        await asyncio.sleep(0.01)


async def hears(follower: Follower) -> set[str]:
    """The jobs that a listener is told of, once it is woken."""
    assert await follower.turn(timedelta(seconds=10), timedelta(0))
    return follower.take()[0]


def test_a_listener_hears_of_progress_and_of_the_end(play: Callable[[Scene], None]) -> None:
    async def scene(store: JobStore, completions: JobCompletions) -> None:
        mine, other = a_job_of_two_chunks(store), a_job_of_two_chunks(store)
        async with listening(completions):
            await subscribed(store)
            with completions.followers.of_job(mine) as of_job, completions.followers.of_client("demo") as of_client:
                await completions.hear_progress()
                await listeners(store, 1)
                assert await of_job.turn(timedelta(seconds=10), timedelta(0)), "it looks once it is subscribed"
                assert (of_job.take(), of_client.take()) == ((set(), True), (set(), True))
                store.complete(ChunkRef(mine, 0), ChunkResult(b"o", {"created": 1}))
                assert await hears(of_job) == {mine}
                store.complete(ChunkRef(mine, 1), ChunkResult(b"o", {"created": 1}))
                assert await hears(of_job) == {mine}
                store.cancel(other)
                while of_client.jobs != {mine, other}:
                    await asyncio.sleep(0.01)
                assert not of_job.jobs

    play(scene)


def test_nobody_hears_of_progress_where_nobody_listens(play: Callable[[Scene], None]) -> None:
    async def scene(store: JobStore, completions: JobCompletions) -> None:
        async with listening(completions):
            await subscribed(store)
            with completions.followers.of_client("demo"):
                await completions.hear_progress()
                await listeners(store, 1)
            store.complete(ChunkRef(a_job_of_two_chunks(store), 0), ChunkResult(b"o", {"created": 1}))
            await listeners(store, 0)

    play(scene)


def test_a_listener_looks_again_once_a_broken_connection_is_made_anew(play: Callable[[Scene], None]) -> None:
    async def scene(store: JobStore, completions: JobCompletions) -> None:
        async with asyncio.timeout(30), listening(completions):
            await subscribed(store)
            with completions.followers.of_client("demo") as follower:
                await completions.hear_progress()
                await listeners(store, 1)
                await follower.turn(timedelta(seconds=10), timedelta(0))
                follower.take()
                store._redis.client_kill_filter(_type="pubsub")
                while not follower.missed:
                    await asyncio.sleep(0.01)
                await listeners(store, 1)

    play(scene)


def test_a_listener_ends_with_the_process(play: Callable[[Scene], None]) -> None:
    async def scene(_: JobStore, completions: JobCompletions) -> None:
        with completions.followers.of_job("one") as before:
            completions.end()
            with completions.followers.of_client("two") as after:
                assert (before.over, after.over) == (True, True)

    play(scene)
