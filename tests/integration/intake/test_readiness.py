"""Readiness, on a real Valkey: anybody may ask, so it costs little and names nothing."""

import asyncio
import re
import time
from datetime import timedelta

import httpx
import redis
from fastapi import FastAPI
from tests.builders import a_new_job
from tests.elapsing import elapse
from tests.services import Services

from carecase_worker.audit.log import AuditLog
from carecase_worker.clock import SystemClock
from carecase_worker.intake.health import Readings, health_routes
from carecase_worker.jobs.presence import Presence
from carecase_worker.jobs.standstill import Standstill
from carecase_worker.settings.access import AuditSettings
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.telemetry import Metrics


def writes(url: str) -> int:
    with redis.Redis.from_url(url) as server:
        return int(server.info("commandstats").get("cmdstat_set", {"calls": 0})["calls"])


async def asked(app: FastAPI) -> list[httpx.Response]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://intake") as client:
        return [await client.get("/readyz") for _ in range(20)]


def test_whoever_asks_often_makes_no_more_than_one_write_a_second_and_learns_no_name(servers: Services) -> None:
    settings = RedisSettings.model_validate({"url": servers.redis_url, "prefix": "ready:"})
    presence = Presence(settings, SystemClock())
    standstill, audit = Standstill(settings, JobSettings()), AuditLog(AuditSettings(), SystemClock())
    readings = Readings(servers.store("ready:"), presence, standstill, ("a-database", "another-one"), "host", audit)
    app = FastAPI()
    app.include_router(health_routes(readings, Metrics(readings)))
    before, began = writes(servers.redis_url), time.monotonic()
    answers = asyncio.run(asked(app))
    assert 1 <= writes(servers.redis_url) - before <= 1 + time.monotonic() - began
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].json()["databases"] == {"away": 0, "reasons": []}
    assert not any(name in answers[0].text for name in readings.databases)


def test_it_notices_work_that_is_due_and_that_nobody_takes_though_workers_are_there(servers: Services) -> None:
    settings = RedisSettings.model_validate({"url": servers.redis_url, "prefix": "untaken:"})
    store, presence = servers.store("untaken:"), Presence(settings, SystemClock())
    databases = ("a-database", "another-one")
    audit = AuditLog(AuditSettings(), SystemClock())
    readings = Readings(store, presence, Standstill(settings, JobSettings()), databases, "host", audit)

    def checks() -> str:
        app = FastAPI()
        app.include_router(health_routes(readings, Metrics(readings)))
        presence.seen("a worker")
        answer = asyncio.run(asked(app))[0]
        assert (answer.status_code == 200) == (answer.json()["checks"] == {"redis": "ok", "workers": "ok"})
        return str(answer.json()["checks"]["workers"])

    assert checks() == "ok"
    for database in databases:
        store.admit(a_new_job(database=database), {0: b"items"})
    assert checks() == "ok"
    elapse(servers.redis_url, store, timedelta(seconds=31))
    assert re.fullmatch(r"none has taken anything for \d+ s, though work is due", checks())
    metrics = Metrics(readings).render().decode()
    assert re.search(r'^carecase_untaken_seconds\{database="a-database"\} [3-9]\d', metrics, flags=re.MULTILINE)
    (chunk,) = store.overdue("another-one", 0)
    store.claim(chunk, "a holder")
    assert checks() == "ok", "others wait for their turn"
