"""Many requests and connections at once: each client has its share, and the process its descriptors."""

import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import httpx
import psutil
from structlog.testing import capture_logs
from tests.acceptance.system import eventually
from tests.integration.intake.intakes import Intake, an_intake
from tests.plain_http import http_get
from tests.ports import free_port
from tests.services import Services

from carecase_worker.settings.loading import process_environment

OTHERS = 224


def metrics_of(url: str) -> dict[str, float]:
    with urlopen(f"{url}/metrics", timeout=60) as response:  # noqa: S310  # a URL of our own
        lines = response.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def hold(intake: Intake, stack: ExitStack, name: str, path: str) -> socket.socket:
    """Wait for a job on a connection of one's own."""
    address = urlsplit(intake.url)
    connection = stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))
    with intake.client(name) as client:
        given = [f"{each}: {client.headers[each]}" for each in ("x-api-key", "authorization")]
    head = [f"GET {path} HTTP/1.1", "host: x", "prefer: wait=50", "connection: close", *given, "", ""]
    connection.sendall("\r\n".join(head).encode())
    return connection


def test_a_client_has_so_many_requests_at_once_and_all_have_so_many(servers: Services) -> None:
    bounds = {"max_requests": 3, "max_requests_per_client": 2}
    with an_intake(servers.redis_url, "at-once:", intake=bounds) as intake, ExitStack() as stack:
        job_id, other_id = intake.send(), intake.send()
        path = f"/jobs/{job_id}"

        def in_progress(client: str) -> float:
            return metrics_of(intake.url).get(f'carecase_requests_in_progress{{client="{client}"}}', 0)

        eventually(lambda: in_progress("ann") == 0, what="what was sent is answered")
        requests = [hold(intake, stack, "ann", path)]
        eventually(lambda: in_progress("ann") == 1, what="one is held")
        with intake.client() as ann, intake.client("bob") as bob:
            for status in (200, 429, 429):
                response = ann.get("/jobs")
                assert response.status_code == status
                if status == 200:
                    requests.append(hold(intake, stack, "ann", f"/jobs/{other_id}/result"))
                    eventually(lambda: in_progress("ann") == 2, what="two are held")
            assert response.headers["retry-after"] == "1"
            assert response.json()["error"]["type"] == "urn:carecase:problem:rate-exceeded"
            assert bob.get("/jobs").status_code == 200
            own = stack.enter_context(intake.client("bob", prefer="wait=50"))
            own_id = own.put("/care-cases-batch", content=b"[{}]", headers={"prefer": "wait=0"})
            bobs = hold(intake, stack, "bob", f"/jobs/{own_id.json()['job']['jobId']}")
            eventually(lambda: in_progress("bob") == 1, what="three are held")
            refused = bob.get("/jobs")
            assert (refused.status_code, int(refused.headers["retry-after"])) == (503, 5)
            assert refused.json()["error"]["type"] == "urn:carecase:problem:backlog-full"
            intake.finish(job_id)
            assert requests[0].recv(100).startswith(b"HTTP/1.1 200 ")
            eventually(lambda: in_progress("ann") == 1, what="its place is free")
            assert ann.get("/jobs").status_code == 200
            refusals = [f'carecase_requests_refused_total{{bound="{bound}"}}' for bound in ("client", "all")]
            eventually(lambda: [metrics_of(intake.url)[name] for name in refusals] == [2, 1], what="they are counted")
            bobs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
            bobs.close()
            eventually(lambda: in_progress("bob") == 0, what="who leaves takes no place")
        intake.finish(other_id)


def test_a_client_that_fails_at_once_keeps_no_place(servers: Services) -> None:
    bounds = {"max_requests_per_client": 1}
    with an_intake(servers.redis_url, "fails:", intake=bounds) as intake, intake.client() as client:
        for _ in range(5):
            assert client.get("/jobs/x").status_code == 404
            assert client.get("/jobs?y=1").status_code == 400
            assert client.get("/jobs", headers={"accept": "image/png"}).status_code == 406
            assert client.head("/jobs").status_code == 200


def test_the_log_has_so_many_lines_of_callers_that_are_not_known(servers: Services) -> None:
    with an_intake(servers.redis_url, "lines:", intake={"log_unknown_per_second": 3}) as intake:
        with capture_logs() as logs, intake.client() as client, ThreadPoolExecutor(4) as threads:
            began = time.monotonic()
            list(threads.map(lambda _: http_get(f"{intake.url}/a-path"), range(40)))
            seconds = time.monotonic() - began
            for _ in range(20):
                assert client.get("/jobs").status_code == 200
            lines = [line for line in logs if line["event"] == "request"]
            eventually(lambda: len([one for one in logs if one.get("client") == "ann"]) == 20, what="all are written")
        unknown = [line for line in lines if "client" not in line]
        assert 3 <= len(unknown) <= 3 * (2 + seconds)
        measured = metrics_of(intake.url)
        assert measured["carecase_log_lines_left_out_total"] >= 40 - len(unknown)
        assert measured['carecase_http_requests_total{method="GET",route="none",status="404"}'] == 40


@contextmanager
def a_process(
    servers: Services, place: Path, connections: int, soft: int, hard: int
) -> Iterator[tuple[str, psutil.Process]]:
    """An intake that may have so many descriptors, and its log in `place`."""
    port = free_port()
    environment = {
        **process_environment(),
        "CARECASE_REDIS_URL": servers.redis_url,
        "CARECASE_REDIS_PREFIX": "many:",
        "CARECASE_INTAKE_PORT": str(port),
        "CARECASE_INTAKE_MAX_CONNECTIONS": str(connections),
        "CARECASE_INTAKE_MAX_REQUESTS": str(connections - 1),
        "CARECASE_JWT_SECRET": "s" * 32,
    }
    command = f"ulimit -Sn {soft}; ulimit -Hn {hard}; exec {sys.executable} -m carecase_worker intake"
    with (place / "log").open("w") as log:
        process = subprocess.Popen(["sh", "-c", command], env=environment, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def answers(url: str) -> bool:
    try:
        return http_get(f"{url}/livez").status_code == 200
    except httpx.TransportError:
        return False


def test_a_process_with_more_clients_than_descriptors_goes_on_and_is_alive(servers: Services, tmp_path: Path) -> None:
    most = 40
    limit = most + OTHERS
    with a_process(servers, tmp_path, most, soft=100, hard=limit) as (url, process), ExitStack() as stack:
        eventually(lambda: answers(url), what="the intake answers")
        assert process.rlimit(psutil.RLIMIT_NOFILE) == (limit, limit), "it takes what it may have"
        address = urlsplit(url)
        before = process.cpu_times()
        for _ in range(3 * limit):
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))
        assert answers(url), "a probe gets in, whoever holds what"
        measured = metrics_of(url)
        assert measured["carecase_connections"] <= most
        assert measured["carecase_connections_gave_way_total"] >= 3 * limit - most
        assert measured["carecase_connections_refused_total"] == 0
        assert process.num_fds() <= limit
        spent = process.cpu_times()
        assert spent.user + spent.system - before.user - before.system < 5, "it does not spin"
    assert "Too many open files" not in (tmp_path / "log").read_text()


def test_a_process_that_may_not_have_enough_descriptors_does_not_start_and_says_so(
    servers: Services, tmp_path: Path
) -> None:
    with a_process(servers, tmp_path, 40, soft=100, hard=40 + OTHERS - 1) as (_, process):
        assert process.wait(60) == 2
    output = (tmp_path / "log").read_text()
    assert "intake.max_connections: 40 connections need 264 file descriptors, and a process may have 263 here" in output
    assert "Traceback" not in output
