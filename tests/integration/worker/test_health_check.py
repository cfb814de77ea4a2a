"""`carecase worker --check` beside several workers, of which only the health's server runs here."""

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.acceptance.system import eventually, run

from carecase_worker.settings.loading import process_environment
from carecase_worker.worker.health.signs import Health

PROGRAM = """
import sys
from types import SimpleNamespace
from carecase_worker.settings.model import WorkerSettings
from carecase_worker.worker.health.signs import Health
from carecase_worker.worker.health.server import HealthPages, serve_health
monitor = SimpleNamespace(health=lambda: Health[sys.argv[1]], checks=dict)
serve_health(HealthPages(monitor, bytes), WorkerSettings(port=0))
print("ready", flush=True)
input()
"""

Worker = subprocess.Popen[bytes]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Worker]]:
    """Return a function that starts a worker of a health."""
    started: list[Worker] = []

    def worker(health: str) -> Worker:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, health], env=process_environment() | {"TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield worker
    for process in started:
        process.kill()
        process.communicate()


def check(place: Path) -> "subprocess.CompletedProcess[str]":
    return run("worker", "--check", cwd=place, variables={"TMPDIR": str(place)})


def sockets(place: Path) -> Path:
    return place / f"carecase-workers-{os.getuid()}"


def test_one_worker_that_is_not_well_is_enough_and_each_is_named(
    tmp_path: Path, start: Callable[[str], Worker]
) -> None:
    def tells(status: int, *lines: str) -> bool:
        """Ask; on a busy machine a worker may not answer in time."""
        ended = check(tmp_path)
        told = {line.partition(";")[0] for line in (ended.stdout + ended.stderr).splitlines()}
        return (ended.returncode, told) == (status, set(lines))

    assert check(tmp_path).returncode == 1, "where there is no worker, none is well"
    well, stuck = start("WELL"), start("STUCK")
    is_well = f"worker {well.pid}: well"
    is_stuck = f"worker {stuck.pid}: {Health.STUCK.value.partition(';')[0]}"
    eventually(lambda: tells(1, is_well, is_stuck), what="both are told of")
    stuck.kill()
    stuck.wait()
    eventually(lambda: tells(0, is_well), what="one that has ended is nobody's concern")
    other = start("CUT_OFF")
    assert {one.name for one in sockets(tmp_path).iterdir()} == {str(well.pid), str(other.pid)}
    is_cut_off = f"worker {other.pid}: {Health.CUT_OFF.value.partition(';')[0]}"
    eventually(lambda: tells(0, is_well, is_cut_off), what="to start it again would help nobody")


def test_only_so_many_requests_are_served_at_once(tmp_path: Path, start: Callable[[str], Worker]) -> None:
    place = str(sockets(tmp_path) / str(start("WELL").pid))

    def is_left_out() -> bool:
        with ExitStack() as held:
            for _ in range(16):
                held.enter_context(connected(place))
            with connected(place) as one:
                return status_of(one) is None

    eventually(is_left_out, what="a request beyond the bound is closed without an answer")
    eventually(lambda: check(tmp_path).returncode == 0, what="there is room again")


def connected(place: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(place)
    return connection


def status_of(connection: socket.socket) -> int | None:
    """The status of an answer; None if the connection is closed without one."""
    try:
        connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
    except (OSError, http.client.HTTPException):
        return None
    return response.status
