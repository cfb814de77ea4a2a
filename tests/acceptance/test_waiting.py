"""Prefer: a client may wait until the job is final, on each call where that makes sense."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from tests.acceptance.system import System, eventually
from tests.builders import a_case


def put(system: System, cases: list[object], *prefer: str) -> httpx.Response:
    with system.client() as client:
        return client.put("/care-cases-batch", json=cases, headers=[("Prefer", value) for value in prefer])


def test_a_batch_is_answered_with_its_result_if_the_client_waits(system: System, first_key: int) -> None:
    response = put(system, [a_case(first_key), {}], "wait=30")
    assert response.status_code == 207
    assert response.headers["preference-applied"] == "wait=30"
    document = response.json()
    assert [item["status"] for item in document["data"]] == [201, 422]
    job_id = document["debug"]["activityID"]
    assert response.headers["location"] == f"/jobs/{job_id}"
    assert system.result(job_id) == document["data"]


@pytest.mark.parametrize(
    ("prefer", "status", "honoured"),
    [
        (["respond-async"], 202, "respond-async"),
        (["respond-async", "wait=0"], 202, "respond-async, wait=0"),
        (["handling=lenient"], 202, None),
        (["wait=soon"], 202, None),
        (['wait="30"; x=y, wait=0'], 207, "wait=30"),
        (["respond-async, wait=999999"], 207, "wait=60"),
        ([], 202, None),
    ],
)
def test_the_answer_says_what_was_honoured(
    system: System, first_key: int, prefer: list[str], status: int, honoured: str | None
) -> None:
    response = put(system, [a_case(first_key)], *prefer)
    assert response.status_code == status
    assert response.headers.get("preference-applied") == honoured


@contextmanager
def idle(system: System) -> Iterator[Callable[[], None]]:
    """The workers do nothing, until the end or until what this gives is called."""
    workers = system.stack["processes"]["worker"]
    pids = [*workers, *(pid for n in range(len(workers)) for pid in system.pool(n))]

    def go_on() -> None:
        for pid in pids:
            system.kill(pid, signal.SIGCONT)

    for pid in pids:
        system.kill(pid, signal.SIGSTOP)
    try:
        yield go_on
    finally:
        go_on()


def test_a_long_poll_is_answered_once_the_job_is_final_and_no_later_than_asked(system: System, first_key: int) -> None:
    with idle(system) as go_on, ThreadPoolExecutor() as threads, system.client() as client:
        late = put(system, [a_case(first_key)], "wait=1")
        assert (late.status_code, late.headers["preference-applied"]) == (202, "wait=1")
        job = late.json()["job"]
        assert job["state"] in ("queued", "running")
        path = job["links"]["self"]
        began = time.monotonic()
        poll = client.get(path, headers={"Prefer": "wait=1"})
        assert time.monotonic() - began >= 1
        assert poll.json()["data"]["state"] != "completed"
        assert "retry-after" in poll.headers
        polls = [threads.submit(client.get, path, headers={"Prefer": "wait=50"}) for _ in range(5)]
        result = threads.submit(client.get, f"{path}/result", headers={"Prefer": "wait=50"})
        eventually(lambda: "carecase_long_polls 6.0" in system.metrics(), what="all six wait")
        assert not any(waiting.done() for waiting in (*polls, result))
        go_on()
        assert {waiting.result().json()["data"]["state"] for waiting in polls} == {"completed"}
        assert result.result().status_code == 207
        assert result.result().headers["preference-applied"] == "wait=50"
        assert time.monotonic() - began < 40, "woken, not timed out"


def test_an_accepted_batch_is_answered_as_accepted_also_if_redis_goes_while_its_client_waits(
    system: System, first_key: int
) -> None:
    redis = system.pid("redis")
    with idle(system), ThreadPoolExecutor() as threads, system.client() as client:
        before = client.get("/jobs?pageSize=1").json()["data"]
        waiting = threads.submit(put, system, [a_case(first_key)], "wait=5")
        eventually(lambda: client.get("/jobs?pageSize=1").json()["data"] != before, what="it is accepted")
        system.kill(redis, signal.SIGSTOP)
        try:
            response = waiting.result()
        finally:
            system.kill(redis, signal.SIGCONT)
    assert response.status_code == 202
    assert system.result(response.json()["job"]["jobId"])[0]["status"] == 201


def test_waiting_and_if_none_match_go_together(system: System, first_key: int) -> None:
    path = put(system, [a_case(first_key)], "wait=30").headers["location"]
    with system.client() as client:
        tag = client.get(path).headers["etag"]
        again = client.get(path, headers={"If-None-Match": f'"other", W/{tag}', "Prefer": "wait=30"})
        assert (again.status_code, again.headers["etag"], again.content) == (304, tag, b"")
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_who_waits_for_somebody_elses_job_is_not_kept(system: System, first_key: int) -> None:
    path = put(system, [a_case(first_key)], "wait=30").headers["location"]
    with system.client("other") as stranger:
        assert stranger.get(path, headers={"Prefer": "wait=30"}).status_code == 404


def test_a_redis_that_starts_again_keeps_nobody_waiting(system: System, first_key: int) -> None:
    with ThreadPoolExecutor() as threads, system.client() as client:
        with idle(system):
            path = f"/jobs/{system.send([a_case(first_key + n) for n in range(3000)])}"
            waiting = threads.submit(client.get, path, headers={"Prefer": "wait=59"})
            eventually(lambda: "carecase_long_polls 1.0" in system.metrics(), what="the client waits")
            system.kill(system.pid("redis"))
        began = time.monotonic()
        response = waiting.result()
    assert response.status_code in (200, 503), response.text
    if response.status_code == 200:
        assert response.json()["data"]["state"] == "completed"
        assert time.monotonic() - began < 50, "woken, not timed out"
    eventually(lambda: put(system, [a_case(first_key)], "wait=30").status_code == 207, what="a batch is applied again")
    eventually(lambda: system.job(path.rpartition("/")[2]), what="the job is told again")


def test_the_same_key_at_the_same_time_gives_one_job(system: System, first_key: int) -> None:
    key = {"Idempotency-Key": f"at once {first_key}"}

    def send(_: int) -> httpx.Response:
        with system.client() as client:
            return client.put("/care-cases-batch", json=[a_case(first_key)], headers=key)

    with ThreadPoolExecutor(16) as threads:
        responses = list(threads.map(send, range(16)))
    assert {response.status_code for response in responses} == {202}
    (job_id,) = {response.json()["job"]["jobId"] for response in responses}
    assert system.result(job_id)[0]["status"] == 201
    with system.client("other") as stranger:
        theirs = stranger.put("/care-cases-batch", json=[a_case(first_key)], headers=key)
    assert theirs.json()["job"]["jobId"] != job_id
