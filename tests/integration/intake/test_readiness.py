"""Readiness, on a real Valkey: anybody may ask, so it costs little and names nothing."""

import asyncio
import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from anyio.to_thread import run_sync
from fastapi import FastAPI
from tests.builders import a_new_job
from tests.elapsing import elapse
from tests.ports import free_port
from tests.posing import passing_on
from tests.services import Services, lone_valkey, redis_url
from tests.stores import Stores

from carecase_worker.audit.log import AuditLog
from carecase_worker.clock import SystemClock
from carecase_worker.errors import StoreUnavailable
from carecase_worker.intake.health import MetricSamples, health_routes
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.settings.sections.access import AuditSettings
from carecase_worker.store.queries.measures import METRICS_TIMEOUT, JobMeasures
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.workers.presence import Presence
from carecase_worker.store.workers.standstill import Standstill
from carecase_worker.telemetry import Metrics, MetricSample

DATABASES = ("a-database", "another-one")


def writes(url: str) -> int:
    with redis.Redis.from_url(url) as server:
        return int(server.info("commandstats").get("cmdstat_set", {"calls": 0})["calls"])


async def asked(app: FastAPI, path: str = "/readyz") -> list[httpx.Response]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://intake") as client:
        return [await client.get(path) for _ in range(20)]


def samples_of(url: str, store: Stores, prefix: str) -> MetricSamples:
    settings = RedisSettings.model_validate({"url": url, "prefix": prefix})
    audit = AuditLog(AuditSettings(), SystemClock())
    presence = Presence(StoreClient(settings, timeout=METRICS_TIMEOUT), SystemClock())
    standstill = Standstill(store.client, JobSettings())
    measures = JobMeasures(settings, JobSettings(), DATABASES)
    return MetricSamples(store.workload, presence, standstill, DATABASES, "host", audit, measures)


def app_of(samples: MetricSamples) -> FastAPI:
    app = FastAPI()
    app.include_router(health_routes(samples, Metrics(samples)))
    return app


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
def test_whoever_asks_often_makes_no_more_than_one_write_a_second(servers: Services, path: str) -> None:
    app = app_of(samples_of(servers.redis_url, servers.store("ready:"), "ready:"))
    before, began = writes(servers.redis_url), time.monotonic()
    responses = asyncio.run(asked(app, path))
    assert 1 <= writes(servers.redis_url) - before <= 1 + time.monotonic() - began
    assert {response.status_code for response in responses} == {503 if path == "/readyz" else 200}


def values_of(samples: MetricSamples) -> dict[str, float]:
    return {one.name: one.value for one in samples() if isinstance(one, MetricSample)}


def test_a_clock_that_took_too_long_to_be_compared_is_not_reported(servers: Services) -> None:
    """Nobody knows at which part of a second Redis has looked at its own clock."""
    port, moment = urlsplit(servers.redis_url).port, b"*2\r\n$10\r\n"
    assert port is not None

    def change(piece: bytes) -> bytes:
        if piece.startswith(moment):
            threading.Event().wait(1.2)
        return piece

    with passing_on(port, change) as way_in:
        url = servers.redis_url.replace(f":{port}/", f":{way_in}/")
        samples = values_of(samples_of(url, servers.store("ready:"), "ready:"))
    assert samples["carecase_store_up"] == 1
    assert "carecase_workers" in samples
    assert "carecase_clock_offset_seconds" not in samples


def test_metrics_of_a_redis_that_hangs_end_before_whoever_scrapes_gives_up(servers: Services) -> None:
    """Prometheus waits for ten seconds; then it would have no metrics of this process at all."""
    port, answers = urlsplit(servers.redis_url).port, threading.Event()
    assert port is not None

    def change(piece: bytes) -> bytes:
        answers.wait()
        return piece

    with passing_on(port, change) as way_in:
        settings = RedisSettings.model_validate({"url": servers.redis_url.replace(f":{port}/", f":{way_in}/")})
        began = time.monotonic()
        try:
            with pytest.raises(StoreUnavailable):
                JobMeasures(settings, JobSettings(), DATABASES).counted()
            took_s = time.monotonic() - began
        finally:
            answers.set()
    assert took_s < 9


def test_while_redis_is_away_it_says_so_and_that_no_more_is_known() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    store = Stores(RedisSettings.model_validate({"url": url, "prefix": "away:"}), JobSettings())
    response = asyncio.run(asked(app_of(samples_of(url, store, "away:"))))[0]
    reason = "the job store cannot be reached; check that Redis runs, and redis.url"
    assert (response.status_code, response.json()) == (
        503,
        {
            "status": "not ready",
            "checks": {"redis": reason, "workers": "not known"},
            "databases": {"away": None, "reasons": []},
        },
    )


def test_readiness_names_no_database(servers: Services) -> None:
    samples = samples_of(servers.redis_url, servers.store("unnamed:"), "unnamed:")
    response = asyncio.run(asked(app_of(samples)))[0]
    assert response.json()["databases"] == {"away": 0, "reasons": []}
    assert not any(name in response.text for name in samples.databases)


def test_who_asks_while_redis_hangs_takes_no_thread_that_others_need(servers: Services, tmp_path: Path) -> None:
    async def asked_while_it_hangs(app: FastAPI, resume: Callable[[], object]) -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://intake") as client:
            asking = [asyncio.create_task(client.get(path)) for path in ("/readyz", "/metrics") * 60]
            await asyncio.sleep(0)
            assert (await client.get("/livez")).status_code == 200
            assert await asyncio.wait_for(run_sync(lambda: "a thread of the common pool"), 60)
            assert not all(one.done() for one in asking)
            resume()
            return await asyncio.gather(*asking)

    with lone_valkey(tmp_path / "valkey") as port, redis.Redis.from_url(redis_url(port)) as server:
        store = Stores(RedisSettings.model_validate({"url": redis_url(port), "prefix": "h:"}), JobSettings())
        app = app_of(samples_of(redis_url(port), store, "h:"))
        server.client_pause(600_000, all=False)  # what writes waits
        responses = asyncio.run(asked_while_it_hangs(app, server.client_unpause))
    assert {response.status_code for response in responses} == {200, 503}


def test_a_redis_that_hangs_is_reported_before_prometheus_gives_up(tmp_path: Path) -> None:
    """It waits ten seconds; a response of Redis is waited for twice."""
    with lone_valkey(tmp_path / "valkey") as port, redis.Redis.from_url(redis_url(port)) as server:
        store = Stores(RedisSettings.model_validate({"url": redis_url(port), "prefix": "h:"}), JobSettings())
        samples = samples_of(redis_url(port), store, "h:")
        server.client_pause(600_000, all=False)  # what writes waits
        began = time.monotonic()
        assert values_of(samples)["carecase_store_up"] == 0
        took = time.monotonic() - began
        server.client_unpause()
    assert took < 8


def test_it_notices_work_that_is_due_and_that_nobody_takes_though_workers_are_there(servers: Services) -> None:
    store = servers.store("untaken:")
    presence = Presence(store.client, SystemClock())
    samples = samples_of(servers.redis_url, store, "untaken:")

    def checks() -> str:
        app = FastAPI()
        app.include_router(health_routes(samples, Metrics(samples)))
        presence.seen("a worker")
        response = asyncio.run(asked(app))[0]
        assert (response.status_code == 200) == (response.json()["checks"] == {"redis": "ok", "workers": "ok"})
        return str(response.json()["checks"]["workers"])

    assert checks() == "ok"
    for database in samples.databases:
        store.batches.admit(a_new_job(database=database), {0: b"items"})
    assert checks() == "ok"
    elapse(servers.redis_url, store, timedelta(seconds=31))
    assert re.fullmatch(r"none has taken any work for \d+ s, though some is due", checks())
    metrics = Metrics(samples).render().decode()
    assert re.search(r'^carecase_untaken_seconds\{database="a-database"\} [3-9]\d', metrics, flags=re.MULTILINE)
    (chunk,) = store.leases.overdue("another-one", 0)
    store.leases.claim(chunk, "a holder")
    assert checks() == "ok", "others wait for their turn"
