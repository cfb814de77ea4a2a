"""A listener of a job, or of a client's jobs, is woken by each change, also after its connection broke."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from tests.builders import a_new_job
from tests.integration.store.listening import Listening, Play
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.store.listening.followers import Follower
from carecase_worker.store.operations.claims import ChunkResult

ONE_CREATED = ChunkResult(b"o", {"created": 1})


def a_job_of_two_chunks(store: Stores) -> str:
    new = a_new_job(total=2, chunk_firsts=(0, 1))
    store.batches.admit(new, {0: b"p", 1: b"p"})
    return new.job_id


async def woken(follower: Follower) -> None:
    assert await follower.turn(timedelta(seconds=60), timedelta(0)), "nothing woke the listener"


async def changed(follower: Follower) -> set[str]:
    """Return the jobs that have changed, once the listener is woken."""
    await woken(follower)
    return follower.take()[0]


def test_a_listener_is_woken_by_progress_and_by_the_end_of_its_jobs_alone(play: Play) -> None:
    async def scene(here: Listening) -> None:
        mine, other = a_job_of_two_chunks(here.store), a_job_of_two_chunks(here.store)
        followers = here.finals.followers
        async with asyncio.timeout(60), here.begun():
            with followers.of_job(mine) as of_job, followers.of_client("demo") as of_client:
                await here.finals.hear_progress()
                await here.progress_heard_by(1)
                await woken(of_job)  # to look at its job once it is subscribed
                assert (of_job.take(), of_client.take()) == ((set(), True), (set(), True))
                here.store.leases.complete(ChunkRef(mine, 0), ONE_CREATED)
                assert await changed(of_job) == {mine}
                here.store.leases.complete(ChunkRef(mine, 1), ONE_CREATED)
                assert await changed(of_job) == {mine}
                here.store.jobs.cancel(other)
                while of_client.jobs != {mine, other}:
                    await woken(of_client)
                assert not of_job.jobs

    play(scene)


def test_where_nobody_listens_redis_sends_no_progress(play: Play) -> None:
    async def scene(here: Listening) -> None:
        async with asyncio.timeout(60), here.begun():
            with here.finals.followers.of_client("demo"):
                await here.finals.hear_progress()
                await here.progress_heard_by(1)
            here.store.leases.complete(ChunkRef(a_job_of_two_chunks(here.store), 0), ONE_CREATED)
            await here.progress_heard_by(0)

    play(scene)


def test_a_listener_looks_at_its_jobs_again_once_a_broken_connection_is_made_anew(play: Play) -> None:
    async def scene(here: Listening) -> None:
        async with asyncio.timeout(60), here.begun():
            with here.finals.followers.of_client("demo") as follower:
                await here.finals.hear_progress()
                await here.progress_heard_by(1)
                await woken(follower)
                follower.take()
                here.break_connections()
                while not follower.missed:
                    await woken(follower)
                await here.progress_heard_by(1)

    play(scene)


def test_where_nobody_listens_redis_is_asked_to_send_no_progress_once_at_most(play: Play) -> None:
    """Each request would be answered, and each answer be a message after which nobody listens."""

    def requests(here: Listening) -> int:
        return int(here.redis.info("commandstats").get("cmdstat_unsubscribe", {"calls": 0})["calls"])

    async def scene(here: Listening) -> None:
        before, new = requests(here), a_new_job()
        here.store.batches.admit(new, {0: b"p"})
        with here.finals.subscribe("gone") as looked_at, here.finals.subscribe(new.job_id) as ended:
            async with asyncio.timeout(60), here.begun():
                await looked_at.wait()
                here.store.leases.complete(ChunkRef(new.job_id, 0), ONE_CREATED)
                await ended.wait()  # by a message after the first one
                assert requests(here) == before

    play(scene)


def test_a_listener_that_comes_while_the_connection_is_broken_opens_none_of_its_own(play: Play) -> None:
    """Nobody would read what Redis sends over it."""

    async def scene(here: Listening) -> None:
        async with asyncio.timeout(60), here.begun():
            with here.finals.followers.of_client("demo"), capture_logs() as logs:
                here.break_connections()
                while not logs:
                    await asyncio.sleep(0.01)  # a list of log lines wakes nobody
                await here.finals.hear_progress()
                await here.completions_heard()
            here.store.leases.complete(ChunkRef(a_job_of_two_chunks(here.store), 0), ONE_CREATED)
            await here.progress_heard_by(0)

    play(scene)


@pytest.mark.parametrize("is_closed", [False, True], ids=["is closed", "has been closed"])
def test_whoever_comes_while_the_connection_is_closed_or_gone_makes_none_and_does_not_fail(
    play: Play, is_closed: bool
) -> None:
    """It waits for the one that is made anew for all; another one would never end."""

    async def scene(here: Listening) -> None:
        async with asyncio.timeout(60):
            async with here.begun():
                pass
            if is_closed:
                await here.completions_heard(by=0)
            with here.finals.followers.of_client("demo"):
                await here.finals.hear_progress()
                await here.progress_heard_by(0)

    play(scene)


def test_when_the_process_ends_every_listener_ends(play: Play) -> None:
    async def scene(here: Listening) -> None:
        with here.finals.followers.of_job("one") as before:
            here.finals.end()
            with here.finals.followers.of_client("two") as after:
                assert (before.over, after.over) == (True, True)

    play(scene)
