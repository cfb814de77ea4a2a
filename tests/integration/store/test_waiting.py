"""A waiter for a job is woken once the job is final, whatever happens to the connection meanwhile."""

import asyncio
import threading
from contextlib import ExitStack
from urllib.parse import urlsplit

from structlog.testing import capture_logs
from tests.builders import a_new_job
from tests.integration.store.listening import Listening, Play
from tests.posing import passing_on
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.job import State
from carecase_worker.store.listening.completions import JobCompletions
from carecase_worker.store.operations.claims import ChunkResult

ENOUGH_TRIES = 4
"""Connections that are refused, half a second apart."""


def admitted(store: Stores) -> str:
    new = a_new_job()
    store.batches.admit(new, {0: b"p"})
    return new.job_id


def finish(store: Stores, job_id: str) -> None:
    store.leases.complete(ChunkRef(job_id, 0), ChunkResult(b"o", {"created": 1}))
    assert store.jobs.job(job_id).state is State.COMPLETED


def test_the_end_of_a_job_wakes_all_who_wait_for_it_and_nobody_else(play: Play) -> None:
    async def scene(here: Listening) -> None:
        mine, other = admitted(here.store), admitted(here.store)
        subscribe = here.finals.subscribe
        async with here.begun():
            with subscribe(mine) as one, subscribe(mine) as two, subscribe(other) as three:
                finish(here.store, mine)
                async with asyncio.timeout(60):
                    await one.wait()
                    await two.wait()
                assert not three.is_set()
            assert [sample.value for sample in here.finals()] == [0], "nobody is counted as waiting any more"

    play(scene)


def test_each_of_the_jobs_that_end_together_wakes_who_waits_for_it(play: Play) -> None:
    """Small batches are applied in groups, and a group's ends are published as one message."""

    async def scene(here: Listening) -> None:
        jobs = [admitted(here.store) for _ in range(3)]
        async with asyncio.timeout(60), here.begun():
            with ExitStack() as waiting:
                events = [waiting.enter_context(here.finals.subscribe(job_id)) for job_id in jobs]
                done = ChunkResult(b"o", {"created": 1})
                here.store.leases.complete_all([(ChunkRef(job_id, 0), done) for job_id in jobs])
                for event in events:
                    await event.wait()

    play(scene)


def test_however_many_wait_each_job_is_looked_at_once_somebody_listens(play: Play) -> None:
    async def scene(here: Listening) -> None:
        with ExitStack() as waiting:
            gone = [waiting.enter_context(here.finals.subscribe(f"gone {number}")) for number in range(501)]
            async with asyncio.timeout(60), here.begun():
                for event in gone:
                    await event.wait()

    play(scene)


def test_an_end_before_anybody_listens_is_noticed(play: Play) -> None:
    async def scene(here: Listening) -> None:
        job_id = admitted(here.store)
        with here.finals.subscribe(job_id) as event, here.finals.subscribe("gone") as gone:
            finish(here.store, job_id)
            async with asyncio.timeout(60), here.begun():
                await event.wait()
                await gone.wait()

    play(scene)


def test_an_end_while_the_connection_is_broken_is_noticed(play: Play) -> None:
    async def scene(here: Listening) -> None:
        job_id, later = admitted(here.store), admitted(here.store)
        async with here.begun():
            with here.finals.subscribe(job_id) as event, here.finals.subscribe(later) as another:
                here.break_connections()
                finish(here.store, job_id)
                async with asyncio.timeout(60):
                    await event.wait()
                    assert not another.is_set()
                    await here.completions_heard()
                    finish(here.store, later)
                    await another.wait()

    play(scene)


def test_each_outage_is_logged_once(play: Play) -> None:
    async def scene(here: Listening) -> None:
        with here.finals.subscribe("gone") as looked_at:
            async with asyncio.timeout(60), here.begun():
                await looked_at.wait()  # it listens now, and notices the next end of its connection
                for _ in range(2):
                    with here.finals.subscribe("gone") as looked_again, capture_logs() as logs:
                        here.break_connections()
                        await looked_again.wait()
                    assert [entry["event"] for entry in logs] == ["not listening"]

    play(scene)


def test_an_outage_is_logged_once_however_often_the_connection_is_tried_again() -> None:
    tries: list[asyncio.StreamWriter] = []

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(writer)
        writer.close()

    async def scene() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server, asyncio.timeout(120):
            url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
            finals = JobCompletions(RedisSettings.model_validate({"url": url}))
            listening = asyncio.create_task(finals.listen())
            with capture_logs() as logs:
                while len(tries) < ENOUGH_TRIES:
                    await asyncio.sleep(0.01)  # nothing tells of a connection that is refused
            listening.cancel()
        assert [entry["event"] for entry in logs] == ["not listening"]

    asyncio.run(scene())


def test_a_connection_over_which_nothing_happens_is_asked_if_it_lives_and_stays(play: Play, servers: Services) -> None:
    pongs: list[bytes] = []

    def change(piece: bytes) -> bytes:
        pongs.extend([piece] if b"pong" in piece.lower() else [])
        return piece

    async def scene(here: Listening) -> None:
        async with asyncio.timeout(120), here.begun():
            with capture_logs() as logs:
                pongs.clear()
                while not (pongs or logs):
                    await asyncio.sleep(0.01)  # neither wakes anybody
            assert not logs, "a connection that is only quiet is not given up"

    port = urlsplit(servers.redis_url).port
    assert port is not None
    with passing_on(port, change) as way_in:
        play(scene, servers.redis_url.replace(f":{port}/", f":{way_in}/"))


def test_a_connection_that_is_dead_at_the_other_end_is_noticed_and_made_anew(play: Play, servers: Services) -> None:
    """It is quiet for five seconds before anybody asks, and as long for an answer."""
    passes = threading.Event()

    def change(piece: bytes) -> bytes:
        passes.wait()
        return piece

    async def scene(here: Listening) -> None:
        job_id = admitted(here.store)
        with here.finals.subscribe("gone") as looked_at:
            async with asyncio.timeout(120), here.begun():
                await looked_at.wait()  # it asks nothing more by another connection
                await dead_for_a_while(here, job_id)

    async def dead_for_a_while(here: Listening, job_id: str) -> None:
        with here.finals.subscribe(job_id) as event, capture_logs() as logs:
            passes.clear()
            finish(here.store, job_id)
            while not logs:
                await asyncio.sleep(0.01)  # a list of log lines wakes nobody
            assert not event.is_set()
            passes.set()
            await event.wait()
        assert (logs[0]["event"], logs[0]["reason"]) == ("not listening", "the job store does not answer")

    port = urlsplit(servers.redis_url).port
    assert port is not None
    passes.set()
    with passing_on(port, change) as way_in:
        play(scene, servers.redis_url.replace(f":{port}/", f":{way_in}/"))


def test_a_cancelled_job_wakes_its_waiter_when_it_is_final_and_not_before(play: Play) -> None:
    async def scene(here: Listening) -> None:
        job_id, another = admitted(here.store), admitted(here.store)
        async with asyncio.timeout(60), here.begun():
            with here.finals.subscribe(job_id) as event, here.finals.subscribe(another) as after_it:
                here.store.jobs.cancel(job_id)
                finish(here.store, another)
                await after_it.wait()
                assert not event.is_set()
                here.store.leases.complete(ChunkRef(job_id, 0), ChunkResult(b"o", {"cancelled": 1}))
                await event.wait()

    play(scene)


def test_when_the_process_ends_nobody_waits_any_longer(play: Play) -> None:
    async def scene(here: Listening) -> None:
        with here.finals.subscribe("one") as before:
            here.finals.end()
            with here.finals.subscribe("two") as after:
                assert before.is_set()
                assert after.is_set()

    play(scene)
