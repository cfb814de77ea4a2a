"""The pace of a database, which every poll of an open job asks for."""

import asyncio
from pathlib import Path

import redis
from tests.acceptance.system import eventually
from tests.builders import a_new_job
from tests.services import lone_valkey, redis_url

from carecase_worker.clock import monotonic
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.loop_store import LoopStore

_POLLS = 200


def test_polls_at_the_same_time_do_not_read_it_each_and_soon_see_what_has_changed(tmp_path: Path) -> None:
    with lone_valkey(tmp_path / "valkey") as port:
        asyncio.run(_polled(redis_url(port)))


async def _polled(url: str) -> None:
    store = LoopStore(RedisSettings.model_validate({"url": url}), JobSettings())
    began = monotonic()
    for _ in range(_POLLS):
        assert (await store.pace("demo")).open_items == 0
    with redis.Redis.from_url(url) as client:
        reads = client.info("commandstats")["cmdstat_hmget"]["calls"]
    assert reads <= 1 + (monotonic() - began) / 0.25
    await store.admit(a_new_job(), {0: b"items"})
    await asyncio.sleep(0.3)  # a pace is remembered for 0.25 s
    assert (await store.pace("demo")).open_items == 1
    assert (await store.pace("other")).open_items == 0, "each database has its own"
    await store.close()


def test_each_round_trip_is_observed_as_what_it_was_for_and_no_connection_is_left(tmp_path: Path) -> None:
    observed: list[str] = []

    async def ask(url: str) -> LoopStore:
        settings = RedisSettings.model_validate({"url": url})
        store = LoopStore(settings, JobSettings(), observe=lambda name, _: observed.append(name))
        await store.now()
        await store.admit(a_new_job(), {0: b"items"})
        await store.close()
        return store

    with lone_valkey(tmp_path / "valkey") as port:
        url = redis_url(port)
        with redis.Redis.from_url(url) as client:
            before = len(client.client_list())
            closed = asyncio.run(ask(url))  # one that nobody has any more would leave no connection in any case
            assert [*dict.fromkeys(observed)] == ["read", "admit"]
            eventually(lambda: len(client.client_list()) == before, seconds=60, what="both connections are closed")
            del closed
