"""Readiness, on a real Valkey: anybody may ask, so it costs little and names nothing."""

import asyncio
import time

import httpx
import redis
from fastapi import FastAPI
from tests.services import Services

from carecase_worker.audit.log import AuditLog
from carecase_worker.clock import SystemClock
from carecase_worker.intake.health import Readings, health_routes
from carecase_worker.jobs.presence import Presence
from carecase_worker.settings.model import AuditSettings, RedisSettings
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
    audit = AuditLog(AuditSettings(), SystemClock())
    readings = Readings(servers.store("ready:"), presence, ("a-database", "another-one"), "host", audit)
    app = FastAPI()
    app.include_router(health_routes(readings, Metrics(readings)))
    before, began = writes(servers.redis_url), time.monotonic()
    answers = asyncio.run(asked(app))
    assert 1 <= writes(servers.redis_url) - before <= 1 + time.monotonic() - began
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].json()["databases"] == {"away": 0, "reasons": []}
    assert not any(name in answers[0].text for name in readings.databases)
