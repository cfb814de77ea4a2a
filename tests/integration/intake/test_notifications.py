"""What an intake opens for work is notified for at once: nobody works off the queue here, and no sweep helps."""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Any

import httpx
import pytest
import redis
from fastapi import FastAPI
from tests.builders import a_batch, a_case
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import ChunkOutcomes, pack_done
from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.cases.outcomes import CANCELLED
from carecase_worker.intake.app import create_app
from carecase_worker.settings.loading import load
from carecase_worker.store.operations.claims import ChunkResult

CHUNKS, WIDTH = 3, 2
MARK = "Ozymandias"
_prefixes = count()


@dataclass
class Intake:
    """An intake, and what lies in Redis around it."""

    app: FastAPI
    runner: asyncio.Runner
    store: Stores
    notifier: Notifier
    broker_prefix: str

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request; its answer, which is 202."""

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://intake") as client:
                return await client.request(method, path, **options)

        options["headers"] = {"x-api-key": "key", **options.get("headers", {})}
        response = self.runner.run(asked())
        assert response.status_code == 202
        return response

    def send(self, care_plan: int = 5, headers: dict[str, str] | None = None) -> str:
        """Send a batch of three cases, each a chunk of its own; its job."""
        cases = (a_case(key, carePlan_Key=care_plan, case_ID=MARK) for key in range(CHUNKS))
        all_headers = {"vbasoftware-database": "demo", "content-type": "application/json", **(headers or {})}
        response = self.ask("PUT", f"/care-plans/{care_plan}/cases-batch", content=a_batch(*cases), headers=all_headers)
        return str(response.json()["job"]["jobId"])

    @property
    def waiting(self) -> int:
        """Notifications that nobody has taken yet."""
        return self.notifier.waiting("demo")


@pytest.fixture
def intake(servers: Services) -> Iterator[Intake]:
    number = next(_prefixes)
    variables = {
        "REDIS_URL": servers.redis_url,
        "REDIS_PREFIX": f"notify{number}:",
        "BROKER_PREFIX": f"notifyb{number}:",
        "DATABASES_DEMO_URL": "sqlite:///nowhere",
        "CLIENTS_ANN_API_KEY_SHA256": sha256(b"key").hexdigest(),
        "CLIENTS_ANN_DATABASES": "demo",
        "JOBS_CHUNK_ITEMS": "1",
        "JOBS_WIDTH": str(WIDTH),
        "INTAKE_REQUIRE": "either",
        "INTAKE_MAX_WAIT_SECONDS": "0.2",
    }
    settings = load(environment={f"CARECASE_{name}": value for name, value in variables.items()})
    store, notifier = Stores(settings.redis, settings.jobs), Notifier(celery_app(settings))
    with asyncio.Runner() as runner:
        yield Intake(create_app(settings), runner, store, notifier, settings.broker.prefix)
    store.client.close()


def test_a_message_has_ids_of_a_chunk_and_nothing_of_a_case(intake: Intake, raw_redis: "redis.Redis") -> None:
    """It is looked at while it is there, and as it was before the broker's client encoded it."""
    job = intake.send()
    (name,) = set(raw_redis.scan_iter(f"{intake.broker_prefix}cases.*"))
    messages = [json.loads(text) for text in raw_redis.lrange(name, 0, -1)]
    bodies = [base64.b64decode(message["body"]) for message in messages]
    arguments = [json.loads(body)[:2] for body in bodies]
    assert sorted(arguments) == [[[job, number], {}] for number in range(WIDTH)]
    for message, body in zip(messages, bodies, strict=True):
        assert MARK not in json.dumps(message) + body.decode()


@pytest.mark.parametrize("prefer", ["respond-async", "wait=1"])
def test_a_batch_is_notified_for_as_far_as_it_is_open(intake: Intake, prefer: str) -> None:
    intake.send(5, {"prefer": prefer, "idempotency-key": "k"})
    assert intake.waiting == WIDTH
    intake.send(5, {"prefer": prefer, "idempotency-key": "k"})
    assert intake.waiting == WIDTH, "it is open already"
    intake.send(6, {"prefer": prefer})
    assert intake.waiting == WIDTH + 1, "a worker is to find out if it has to wait"


def test_what_a_cancellation_opens_is_notified_for(intake: Intake) -> None:
    intake.send()
    later = intake.send(6)
    for _ in range(2):
        intake.ask("DELETE", f"/jobs/{later}")
        assert intake.waiting == WIDTH + 1 + WIDTH


def test_what_is_sent_again_is_notified_for(intake: Intake) -> None:
    job = intake.send()
    for number in range(CHUNKS):
        done = ChunkResult(pack_done(ChunkOutcomes([number], [CANCELLED])), {"cancelled": 1}, retryable=True)
        intake.store.leases.complete(ChunkRef(job, number), done)
    for _ in range(2):
        intake.ask("POST", f"/jobs/{job}/retry")
        assert intake.waiting == WIDTH + WIDTH
