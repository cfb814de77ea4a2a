"""Jobs that end, or go, between the look at them and what is asked for; and a Redis that goes while one is awaited."""

import fcntl
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from tests.acceptance.system import eventually
from tests.builders import a_batch, a_case
from tests.elapsing import elapse
from tests.integration.audit.locks import waits_for_a_lock
from tests.integration.audit.logs import lines_of
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services, lone_valkey, redis_url

from carecase_worker.cases.outcomes import CREATED, UNAVAILABLE

LONG = timedelta(days=400)
Change = Callable[[Intake, str], None]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def intake(servers: Services, place: Path) -> Iterator[Intake]:
    """One that records what is done to a job, once it has looked at the job."""
    with an_intake(servers.redis_url, "meanwhile:", audit={"directory": str(place)}) as started:
        yield started


@contextmanager
def held_up(place: Path) -> Iterator[None]:
    """Let nobody record."""
    with (place / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ended(intake: Intake, job: str) -> None:
    intake.finish(job)


def gone(intake: Intake, job: str) -> None:
    """It is over, and for so long that nothing of it is left."""
    if not intake.store.jobs.job(job).state.final:
        intake.finish(job)
    elapse(str(intake.settings.redis.url.get_secret_value()), intake.store, LONG)


@pytest.mark.parametrize(
    ("query", "before", "meanwhile", "status", "detail", "recorded"),
    [
        ("", None, ended, 409, "The job is final: there is nothing left to cancel.", "cancelled"),
        ("", None, gone, 404, "There is no such job.", "cancelled"),
        ("?purge=true", ended, gone, 404, "There is no such job.", "purged"),
    ],
    ids=["one that ends is not cancelled", "one that goes is not cancelled", "one that goes is not purged"],
)
def test_the_answer_to_a_client_is_true_of_the_job_by_then_and_so_is_the_log(
    intake: Intake, place: Path, query: str, before: Change | None, meanwhile: Change, status: int, detail: str,
    recorded: str,
) -> None:  # fmt: skip
    job = intake.send()
    if before:
        before(intake, job)
    with intake.client() as client, ThreadPoolExecutor(1) as threads:
        with held_up(place):
            asked = threads.submit(client.delete, f"/jobs/{job}{query}")
            eventually(waits_for_a_lock, what="the job was looked at")
            meanwhile(intake, job)
        response = asked.result(60)
    assert (response.status_code, response.json()["error"]["detail"]) == (status, detail)
    *_, tried, void = (json.loads(line) for line in lines_of(place))
    assert [tried["event"], void["event"]] == [recorded, "void"]
    assert {(record["job"], record["activity"]) for record in (tried, void)} == {(job, tried["activity"])}


def test_what_was_sent_again_and_is_no_longer_kept_is_not_sent_once_more(intake: Intake) -> None:
    job = intake.send(a_case(1), a_case(2))
    intake.finish(job, [CREATED, UNAVAILABLE])
    with intake.client() as client:
        again = client.post(f"/jobs/{job}/retry").json()["job"]["jobId"]
        intake.finish(again)
        assert client.delete(f"/jobs/{again}?purge=true").status_code == 204
        response = client.post(f"/jobs/{job}/retry")
    assert (response.status_code, response.json()["error"]["detail"]) == (
        409,
        "The items were retried before, and the result of that is no longer kept.",
    )


def put(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.put("/care-cases-batch", content=a_batch(a_case()), headers=headers)


@pytest.mark.parametrize("prefer", ["respond-async", "wait=1"])
def test_a_batch_that_comes_again_is_accepted_though_the_result_is_gone(intake: Intake, prefer: str) -> None:
    headers = {"prefer": prefer, "idempotency-key": f"again, {prefer}"}
    job = intake.send(**headers)
    intake.finish(job)
    with redis.Redis.from_url(intake.settings.redis.address) as raw:
        assert raw.delete(intake.store.keys.outcome(job))
    with intake.client() as client:
        response = put(client, **headers)
    assert (response.status_code, response.json()["job"]["jobId"]) == (202, job)


def test_a_batch_is_accepted_whatever_becomes_of_waiting_for_it(tmp_path: Path) -> None:
    """However late Redis goes within these seconds, the answer is no other."""
    with ExitStack() as server, ThreadPoolExecutor(1) as threads:
        port = server.enter_context(lone_valkey(tmp_path / "valkey"))
        with an_intake(redis_url(port), "held:") as intake, intake.client() as client:
            asked = threads.submit(put, client, prefer="wait=3")
            eventually(lambda: intake.store.workload.backlog("demo")[0] == 1, what="the batch is accepted")
            server.close()
            response = asked.result(120)
    assert response.status_code == 202
    job: dict[str, Any] = response.json()["job"]
    assert response.headers["location"] == f"/jobs/{job['jobId']}"
    assert (job["state"], job["total"]) == ("queued", 1)


def test_the_record_of_a_batch_that_may_have_been_admitted_is_not_void(tmp_path: Path, place: Path) -> None:
    with ExitStack() as server, ThreadPoolExecutor(1) as threads:
        port = server.enter_context(lone_valkey(tmp_path / "valkey"))
        audit = {"directory": str(place)}
        with an_intake(redis_url(port), "maybe:", audit=audit) as intake, intake.client() as client:
            with held_up(place):
                asked = threads.submit(put, client)
                eventually(waits_for_a_lock, what="the batch waits for its record")
                server.close()
            assert asked.result(120).status_code == 503
    assert [json.loads(line)["event"] for line in lines_of(place)] == ["sent"]
