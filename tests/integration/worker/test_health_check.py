"""`carecase worker --check` beside several workers, of which only the health's server runs here."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, suppress
from pathlib import Path

import psutil
import pytest
from tests.acceptance.system import eventually, run
from tests.needs import lack
from tests.ports import free_port

from carecase_worker.settings.loading import process_environment
from carecase_worker.worker.health.signs import Health

PROGRAM = """
import sys
from types import SimpleNamespace
from carecase_worker.settings.model import WorkerSettings
from carecase_worker.worker.health.signs import Health
from carecase_worker.worker.health.server import HealthPages, serve_health
monitor = SimpleNamespace(health=lambda: Health[sys.argv[1]], checks=dict)
serve_health(HealthPages(monitor, bytes), WorkerSettings(port=int(sys.argv[2]), host=sys.argv[3]))
print("ready", flush=True)
input()
"""
LEFT_BEHIND = """
import os, socket, sys
os.chdir(sys.argv[4])
left = socket.socket(socket.AF_UNIX)
left.bind(str(os.getpid()))
left.close()
"""

HERE = "127.0.0.1"
MOST = 16
Worker = subprocess.Popen[bytes]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Return a function that starts a worker of a health, and at a port if one is named."""
    started: list[Worker] = []

    def worker(health: str, port: str = "0", host: str = HERE) -> Worker:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, health, port, host],
            env=process_environment() | {"TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield worker
    for process in started:
        with suppress(subprocess.TimeoutExpired):
            process.communicate(b"\n", timeout=60)
        process.kill()
        process.wait()


def check(place: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return run("worker", "--check", *options, cwd=place, variables={"TMPDIR": str(place)})


def sockets(place: Path) -> Path:
    return place / f"carecase-workers-{os.getuid()}"


def test_one_worker_that_is_not_well_is_enough_and_each_is_named(tmp_path: Path, start: Callable[..., Worker]) -> None:
    def tells(status: int, *lines: str) -> bool:
        """Ask; on a busy machine a worker may not answer in time."""
        ended = check(tmp_path)
        output = {line.partition(";")[0] for line in (ended.stdout + ended.stderr).splitlines()}
        return (ended.returncode, output) == (status, set(lines))

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


def test_a_worker_that_hangs_is_one_to_start_again_and_the_check_does_not_wait_for_it(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    hangs = start("WELL")
    hangs.send_signal(signal.SIGSTOP)
    goes_on = threading.Timer(60, hangs.send_signal, [signal.SIGCONT])
    goes_on.start()
    try:
        ended = check(tmp_path)
    finally:
        goes_on.cancel()
        hangs.send_signal(signal.SIGCONT)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"worker {hangs.pid}: does not answer within 2 s; restart it\n"


def test_a_worker_takes_the_place_of_one_that_had_the_same_process_id(tmp_path: Path) -> None:
    """In a container that is started again, it always has."""
    sockets(tmp_path).mkdir(mode=0o700)
    command = [sys.executable, "-c", LEFT_BEHIND + PROGRAM, "WELL", "0", HERE, str(sockets(tmp_path))]
    environment = process_environment() | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        with connected(tmp_path, worker) as probe:
            assert status_of(probe) == 200
        worker.communicate(b"\n", timeout=60)


def test_with_a_configuration_it_is_the_same_check(tmp_path: Path, start: Callable[..., Worker]) -> None:
    """Whoever has one on the worker's command line adds --check to that; the file is not needed for it."""
    stuck = start("STUCK")
    ended = check(tmp_path, "--config", "nowhere.toml")
    assert (ended.returncode, ended.stdout, ended.stderr.startswith(f"worker {stuck.pid}: ")) == (1, "", True)


def test_a_connection_beyond_the_bound_gets_the_place_of_the_oldest(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    worker = start("WELL")
    with ExitStack() as stack:
        idle = [stack.enter_context(connected(tmp_path, worker)) for _ in range(MOST)]
        assert status_of(stack.enter_context(connected(tmp_path, worker))) == 200
        assert idle[0].recv(1) == b"", "the oldest is closed"
        assert [status_of(one) for one in idle[1:]] == [200] * (MOST - 1)
    eventually(lambda: check(tmp_path).returncode == 0, what="the worker is well")


def test_a_request_that_trickles_in_does_not_keep_its_place(tmp_path: Path, start: Callable[..., Worker]) -> None:
    """Each byte comes long before the server has waited too long for it."""
    worker = start("WELL")
    with connected(tmp_path, worker) as slow:
        slow.settimeout(0.2)

        def is_closed() -> bool:
            try:
                slow.sendall(b"G")
                return slow.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        eventually(is_closed, 30, "the connection is closed")


def test_who_opens_many_connections_takes_places_of_its_own(start: Callable[..., Worker]) -> None:
    """A probe that is slow to ask keeps its place, and however many come there are no more threads."""
    port = free_port()
    worker = psutil.Process(start("WELL", str(port)).pid)
    with ExitStack() as stack:
        probe = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        for _ in range(10 * MOST):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)))
            # two for each that has a place, and those of the ones that gave way until they have ended
            assert worker.num_threads() < 4 * MOST
        assert status_of(probe) == 200


def test_a_request_for_the_head_alone_gets_no_body(start: Callable[..., Worker]) -> None:
    """On a connection whose answers are read to their end."""
    port = free_port()
    start("WELL", str(port))
    with socket.create_connection(("127.0.0.1", port)) as probe:
        probe.sendall(b"HEAD /livez HTTP/1.0\r\n\r\n")
        head, _, body = b"".join(iter(lambda: probe.recv(65536), b"")).partition(b"\r\n\r\n")
    assert body == b""
    assert head.startswith(b"HTTP/1.1 200 ") or head.startswith(b"HTTP/1.0 200 ")
    assert int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]) > 0


def test_a_worker_that_is_started_again_gets_its_port_at_once(start: Callable[..., Worker]) -> None:
    """The system remembers connections that have ended for a minute, in which a worker's port would be taken."""
    port = free_port()
    first = start("WELL", str(port))
    with socket.create_connection((HERE, port)) as probe:
        probe.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert b"".join(iter(lambda: probe.recv(65536), b"")), "it is the worker that ends the connection"
    first.kill()
    first.wait()
    start("WELL", str(port))
    with socket.create_connection((HERE, port)) as probe:
        assert status_of(probe) == 200


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_a_worker_listens_at_an_address_of_either_protocol_or_by_name(start: Callable[..., Worker], host: str) -> None:
    if host == "::1" and not has_ipv6():
        pytest.skip("NOT TESTED: there is no IPv6 here, and nothing to install")
    port = free_port()
    start("WELL", str(port), host)
    with socket.create_connection((host, port)) as probe:
        assert status_of(probe) == 200


def _open_to_others(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


def _of_another_user(place: Path) -> None:
    if os.geteuid() != 0:
        lack("only root can give a directory to somebody else")
    place.mkdir(0o700)
    os.chown(place, 65534, 65534)


def _a_link_to_private_files(place: Path) -> None:
    """All that have no process id for a name would be removed, as the sockets of dead workers are."""
    private = place.with_name("private")
    private.mkdir(0o700)
    (private / "letter").touch()
    place.symlink_to(private)


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (_open_to_others, "belongs to another user, or others may use it"),
        (_of_another_user, "belongs to another user, or others may use it"),
        (_a_link_to_private_files, "Not a directory"),
    ],
)
def test_a_worker_whose_socket_has_no_safe_place_says_that_checks_find_nothing(
    tmp_path: Path, prepare: Callable[[Path], None], reason: str
) -> None:
    prepare(sockets(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, "WELL", "0", HERE], env=process_environment() | {"TMPDIR": str(tmp_path)},
        input=b"\n", capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    output = ended.stdout.decode()
    assert "carecase worker --check finds nothing" in output
    assert f"{sockets(tmp_path)}: {reason}" in output
    assert output.endswith("ready\n"), "it works nevertheless"
    assert sorted(tmp_path.rglob("*")) == before
    assert check(tmp_path).returncode == 1


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def connected(place: Path, worker: Worker) -> socket.socket:
    """A connection to a worker's socket, by its name alone: the address of a socket has 107 bytes at most."""
    connection = socket.socket(socket.AF_UNIX)
    with chdir(sockets(place)):
        connection.connect(str(worker.pid))
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
