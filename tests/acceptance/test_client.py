"""The Python client against the running system: streams of cases, lost answers, a service that is busy."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.acceptance.clients import client_of, credentials
from tests.acceptance.system import System
from tests.builders import a_batch, a_case
from tests.pausing import paused_workers

from carecase_worker.cli.sending.sample import cases
from carecase_worker.client.access import Access
from carecase_worker.client.api import connect_async
from carecase_worker.client.asynchronous import AsyncCareCases
from carecase_worker.client.blocking import CareCases
from carecase_worker.client.exchange.calls import Calls
from carecase_worker.clock import SeededRandom, SystemClock, SystemRandom, uuid7
from carecase_worker.errors import CallerRefused, JobNotFinal, JobStateRefused, JobUnknown, RequestRefused, ServiceBusy


def generated(first_key: int) -> Iterator[dict[str, Any]]:
    return (case | {"case_Key": first_key + case["case_Key"]} for case in cases(5000, SeededRandom(3)))


def count_of(system: System, first_key: int) -> int:
    inside = f"case_key > {first_key} AND case_key <= {first_key + 5000}"
    return int(system.query(f"SELECT count(*) FROM care_case WHERE {inside}")[0][0])


def test_a_stream_of_cases_goes_in_batches(system: System, first_key: int) -> None:
    with client_of(system) as client:
        sent = list(client.submit_all(generated(first_key), batch_items=1000))
        jobs = [client.wait(job, timedelta(seconds=60)) for job in sent]
        results = [item for job in jobs for item in client.results(job)]
    assert [job.total for job in jobs] == [1000] * 5
    assert [(job.state, job.created, job.applied) for job in jobs] == [("completed", 1000, True)] * 5
    assert [item.key for item in results] == [first_key + n for n in range(1, 5001)]
    assert {(item.status, item.body, item.group) for item in results} == {(201, "Created", "created")}
    assert count_of(system, first_key) == 5000


def test_the_same_without_blocking(system: System, first_key: int) -> None:
    async def stream() -> AsyncIterator[dict[str, Any]]:
        for case in generated(first_key):
            yield case

    async def sent() -> tuple[list[Any], list[Any]]:
        async with connect_async(system.stack["intake"]["url"], **credentials(system)) as client:
            jobs = [job async for job in client.submit_all(stream(), batch_items=1000)]
            jobs = await asyncio.gather(*(client.wait(job) for job in jobs))
            failed = [item for job in jobs async for item in client.results(job, outcome="failed")]
            one = await client.submit([a_case(first_key), a_case(first_key, case_Status="far too long")])
            whole = [item async for item in client.results(await client.wait(one))]
            assert (await client.job(one)).final
            with pytest.raises(JobStateRefused):
                await client.cancel(one)
            with pytest.raises(JobStateRefused):
                await client.retry(one)
            file = await client.submit(a_batch(a_case(first_key)))
            assert (await client.wait(file)).updated == 1
            return jobs, [failed, whole]

    jobs, (failed, whole) = asyncio.run(sent())
    assert [job.created for job in jobs] == [1000] * 5
    assert failed == []
    assert [(item.index, item.status) for item in whole] == [(0, 201), (1, 422)]
    assert count_of(system, first_key) == 5000


def test_a_program_that_is_run_again_gets_the_same_jobs(system: System, first_key: int) -> None:
    def run() -> list[str]:
        with client_of(system) as client:
            stream = client.submit_all(generated(first_key), idempotency_key=f"run {first_key}", batch_items=2000)
            return [job.job_id for job in stream]

    assert run() == run()


def test_only_the_items_of_one_outcome(system: System, first_key: int) -> None:
    batch = [a_case(first_key), a_case(first_key + 1, case_Status="far too long"), a_case(first_key)]
    with client_of(system) as client:
        job = client.wait(client.submit(batch, care_plan=5))
        assert [item.index for item in client.results(job, outcome="failed")] == [1]
        assert [item.index for item in client.results(job.job_id, outcome="updated", page_size=1)] == [2]
        assert [item.index for item in client.results(job, page_size=2)] == [0, 1, 2]
        assert [item.index for item in client.results(job, page_size=None)] == [0, 1, 2]


def test_what_is_refused_is_raised_by_its_kind(system: System, first_key: int) -> None:
    with client_of(system) as client:
        with pytest.raises(RequestRefused, match="empty"):
            client.submit([])
        with pytest.raises(JobUnknown, match="no such job"):
            client.job("0199c0de-0000-7000-8000-000000000001")
        with paused_workers(system):
            job = client.submit(generated(first_key))
            with pytest.raises(JobNotFinal):
                list(client.results(job))
        client.wait(job)
        client.submit([a_case(first_key + 1)], idempotency_key=f"one {first_key}")
        with pytest.raises(RequestRefused, match="Idempotency-Key"):
            client.submit([a_case(first_key + 2)], idempotency_key=f"one {first_key}")
    with client_of(system, api_key="wrong") as stranger, pytest.raises(CallerRefused, match="API key"):
        stranger.job(job)
    with client_of(system, database="nowhere") as stranger, pytest.raises(CallerRefused, match="database"):
        stranger.submit([a_case(first_key)])


@dataclass
class Way:
    """A proxy between client and service that loses the answers to PUTs; what it has seen."""

    url: str
    losses: int
    keys: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)


@contextmanager
def losing_answers(system: System, losses: int) -> Iterator[Way]:
    """A way to the service on which the first answers to PUTs are lost after the batch was accepted."""
    target = urlsplit(system.stack["intake"]["url"])
    listening = socket.create_server(("127.0.0.1", 0))
    way = Way(f"http://127.0.0.1:{listening.getsockname()[1]}", losses)

    def serve() -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=pass_on, args=(near,), daemon=True).start()

    def pass_on(near: socket.socket) -> None:
        with near, socket.create_connection((target.hostname, target.port)) as far:
            request = received(near)
            far.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            answer = b"".join(iter(lambda: far.recv(65536), b""))
            if request.startswith(b"PUT"):
                head = request.partition(b"\r\n\r\n")[0].decode().lower()
                way.keys.append(next(line for line in head.split("\r\n") if line.startswith("idempotency-key")))
                way.jobs.append(json.loads(answer[answer.index(b'{"data"') : answer.rindex(b"}") + 1])["job"]["jobId"])
                if len(way.jobs) <= way.losses:
                    return
            near.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield way
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def received(near: socket.socket) -> bytes:
    """One whole request, its body in chunks, of known length or none."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += near.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    while b"transfer-encoding: chunked" in head.lower() and not body.endswith(b"0\r\n\r\n"):
        body += near.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.mark.parametrize("kind", ["blocking", "asynchronous"])
def test_a_lost_answer_never_doubles_a_batch(system: System, first_key: int, kind: str) -> None:
    batch = [a_case(first_key + n) for n in range(10)]

    async def sent(url: str) -> Any:
        async with connect_async(url, **credentials(system)) as client:
            return await client.wait(await client.submit(batch))

    with losing_answers(system, losses=2) as way:
        if kind == "blocking":
            with client_of(system, way.url) as client:
                job = client.wait(client.submit(batch))
        else:
            job = asyncio.run(sent(way.url))
    assert len(way.jobs) == 3
    assert set(way.jobs) == {job.job_id}
    assert len(set(way.keys)) == 1
    assert (job.created, job.updated, job.superseded) == (10, 0, 0)


@contextmanager
def busy(*answers: tuple[int, str | None]) -> Iterator[tuple[str, list[str]]]:
    """A service that gives these statuses, each with a Retry-After or none, then an accepted job; what it was sent."""
    left, seen = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            seen.append(f"{self.headers['Idempotency-Key']} {body!r}")
            status, retry_after = left.pop(0) if left else (202, None)
            names = ("total", "processed", "created", "updated", "superseded", "failed", "cancelled")
            job = {"jobId": "j", "state": "queued", "database": "demo", **dict.fromkeys(names, 0)}
            content = json.dumps({"data": None, "error": {"detail": "Busy."}, "job": job}).encode()
            self.send_response(status)
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


ANSWERS = ((429, "7"), (503, "60"), (502, None), (503, "1"))


def usual_calls() -> Calls:
    clock = SystemClock()
    return Calls("demo", clock, SystemRandom(), lambda: uuid7(clock))


@pytest.mark.parametrize("kind", ["blocking", "asynchronous"])
def test_a_busy_service_says_when_to_come_back(kind: str) -> None:
    slept: list[float] = []

    def sleep(duration: timedelta) -> None:
        slept.append(duration.total_seconds())

    async def async_sleep(duration: timedelta) -> None:
        slept.append(duration.total_seconds())

    async def sent(access: Access) -> None:
        async with AsyncCareCases(access, usual_calls(), async_sleep) as client:
            await client.submit([a_case(1)])

    with busy(*ANSWERS) as (url, seen):
        if kind == "blocking":
            with CareCases(Access(url), usual_calls(), sleep) as client:
                client.submit([a_case(1)])
        else:
            asyncio.run(sent(Access(url)))
    assert len(seen) == 5
    assert len(set(seen)) == 1, "the same batch under the same key"
    for least, most, waited in zip((7, 60, 1, 1), (7.5, 60.5, 2, 1.5), slept, strict=True):
        assert least <= waited <= most


def test_a_service_that_stays_busy_is_reported() -> None:
    with busy(*[(503, "1")] * 6) as (url, seen), CareCases(Access(url), usual_calls(), lambda _: None) as client:
        with pytest.raises(ServiceBusy, match="503: Busy"):
            client.submit([a_case(1)])
        assert len(seen) == 6
