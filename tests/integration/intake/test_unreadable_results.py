"""Results that this intake cannot read: the batch is accepted, also for a client that waits for its result."""

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs
from tests.acceptance.system import eventually
from tests.builders import a_batch, a_case
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import Seals
from carecase_worker.store.operations.claims import ChunkResult

KEY, OTHER = bytes(range(32)), bytes(32)
KEYS = f"k1:{base64.b64encode(KEY).decode()}"
_numbers = count()


@pytest.fixture
def raw(servers: Services) -> Iterator[Any]:
    with redis.Redis.from_url(servers.redis_url) as client:
        yield client


def rewrapped(intake: Intake, raw: Any, job_id: str) -> None:
    """`carecase keys rewrap`, with a key that the intake lacks."""
    job = intake.store.jobs.job(job_id)
    data_key, _ = Seals({"k2": OTHER, "k1": KEY}).rewrapped(job.data_key, job.binding)
    raw.hset(intake.store.keys.job(job_id), "data_key", data_key)


def of_a_newer_version(intake: Intake, raw: Any, job_id: str) -> None:
    data_key = base64.b64decode(intake.store.jobs.job(job_id).data_key)
    raw.hset(intake.store.keys.job(job_id), "data_key", base64.b64encode(b"\x7f" + data_key[1:]))


def left_alone(intake: Intake, raw: Any, job_id: str) -> None:
    del intake, raw, job_id


def changed_by_another_hand(intake: Intake, raw: Any, job_id: str) -> None:
    raw.hset(intake.store.keys.job(job_id), "user", "somebody")


@pytest.mark.parametrize(
    ("keys", "becomes", "status", "reason"),
    [
        (KEYS, rewrapped, 503, "'k2', which is not configured"),
        (KEYS, of_a_newer_version, 503, "upgrade carecase-worker"),
        (None, left_alone, 503, "that this version does not know"),
        (KEYS, changed_by_another_hand, 500, "was modified"),
        (KEYS, left_alone, 500, "is not sealed with"),
    ],
    ids=["key that is not here", "newer data key", "newer result", "modified record", "result without a seal"],
)
def test_a_batch_is_accepted_though_its_result_cannot_be_read(
    servers: Services, raw: Any, keys: str | None, becomes: Callable[[Intake, Any, str], None], status: int, reason: str
) -> None:
    prefix, encryption = f"unreadable{next(_numbers)}:", {"keys": keys} if keys else {}
    with (
        an_intake(servers.redis_url, prefix, encryption=encryption) as intake,
        intake.client(prefer="wait=50") as client,
        ThreadPoolExecutor(1) as threads,
        capture_logs() as logs,
    ):
        asked = threads.submit(client.put, "/care-cases-batch", content=a_batch(a_case()))
        eventually(lambda: intake.store.workload.backlog("demo")[0] == 1, what="the batch is accepted")
        (job,) = client.get("/jobs").json()["data"]
        becomes(intake, raw, job["jobId"])
        ref = ChunkRef(job["jobId"], 0)
        intake.store.leases.complete(ref, ChunkResult(b"\x7f of a newer version", {"created": 1}))
        response = asked.result(60)
        assert client.get(f"/jobs/{job['jobId']}/result").status_code == status
    assert (response.status_code, response.json()["job"]["jobId"]) == (202, job["jobId"]), response.text
    (line,) = [line for line in logs if line["event"] == "no result for a waiting client"]
    assert (line["job_id"], reason in line["reason"]) == (job["jobId"], True), line
