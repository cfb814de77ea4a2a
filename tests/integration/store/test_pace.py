"""The pace of a database, which every poll of an open job asks for."""

import asyncio
from pathlib import Path

import redis
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
    store, client = LoopStore(RedisSettings.model_validate({"url": url}), JobSettings()), redis.Redis.from_url(url)
    began = monotonic()
    for _ in range(_POLLS):
        assert (await store.pace("demo")).open_items == 0
    reads = client.info("commandstats")["cmdstat_hmget"]["calls"]
    assert reads <= 1 + (monotonic() - began) / 0.25
    await store.admit(a_new_job(), {0: b"items"})
    admitted_at = monotonic()
    while (await store.pace("demo")).open_items == 0:
        assert monotonic() - admitted_at < 60
        await asyncio.sleep(0.01)  # between two polls
    await store.close()
