"""A worker's own health: `carecase worker --check`, its port, and the restart of one whose broker falls silent."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from sqlalchemy import create_engine, text
from tests.acceptance.system import COMMAND, System, eventually, run, stopped_with_parent
from tests.builders import a_case
from tests.pausing import paused_workers
from tests.plain_http import http_get
from tests.ports import free_port

from carecase_worker.embedded.stack import running_stack
from carecase_worker.settings.loading import process_environment
from carecase_worker.worker.health.monitor import STATUS_STUCK

CPU_MS = 50


class FreezingProxy:
    """A way to a server that can fall silent: connections are still taken, and nothing comes through any more."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._thaw = threading.Event()
        self._thaw.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def freeze(self) -> None:
        self._thaw.clear()

    def close(self) -> None:
        self._thaw.set()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        self._thaw.wait()
        far = socket.create_connection(("127.0.0.1", self._target))
        threading.Thread(target=self._pump, args=(near, far), daemon=True).start()
        self._pump(far, near)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._thaw.wait()
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def worker_beside(system: System, place: Path, own: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Run one more worker of a running system, with settings and a temporary directory of its own."""
    stack = running_stack(system.data_dir / "stack.json").environment()
    environment = process_environment() | stack | {"TMPDIR": str(place)} | own
    with (place / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*COMMAND, "worker"], cwd=place, env=environment, stdout=log, stderr=log, preexec_fn=stopped_with_parent()
        )
    try:
        # it is asked about its health again and again by a program, which costs more than a look at where it listens
        eventually(lambda: process.poll() is not None or any(place.glob("carecase-workers-*/*")), what="it has begun")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        process.wait(120)


def check(place: Path) -> "subprocess.CompletedProcess[str]":
    """The answer of the health check for the workers with this temporary directory."""
    return run("worker", "--check", cwd=place, variables={"TMPDIR": str(place)})


def is_well(place: Path) -> bool:
    return check(place).stdout.strip().endswith(": well")


def test_where_no_worker_runs_the_check_fails_and_says_what_to_start(tmp_path: Path) -> None:
    ended = check(tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "start: carecase worker" in ended.stderr


def test_a_directory_that_others_may_use_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / f"carecase-workers-{os.getuid()}").mkdir(mode=0o755)
    ended = check(tmp_path)
    assert ended.returncode == 1
    assert "remove it" in ended.stderr


MEASURED = (
    r'^carecase_chunk_stage_seconds_count\{stage="write"\} [1-9]',
    r'^carecase_redis_round_trip_seconds_count\{operation="complete"\} [1-9]',
    r'^carecase_chunk_attempts_total\{database="demo",failure=""\} [1-9]',
)
"""What its page of metrics has once it has applied a batch."""


def has_measured(url: str) -> bool:
    page = http_get(url).text
    return all(re.search(pattern, page, re.MULTILINE) for pattern in MEASURED)


def test_a_worker_reports_its_health_at_a_port_and_to_the_check(system: System, tmp_path: Path, first_key: int) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with worker_beside(system, tmp_path, {"CARECASE_WORKER_PORT": str(port)}) as worker:
        eventually(lambda: worker.poll() is not None or is_well(tmp_path), what="the worker is well")
        assert worker.poll() is None, (tmp_path / "worker.log").read_text()
        assert http_get(f"{url}/livez").json()["status"] == "ok"
        ready = eventually(lambda: (told := http_get(f"{url}/readyz")).status_code == 200 and told)
        assert ready.json() == {"status": "ok", "checks": {"broker": "ok", "redis": "ok"}}
        scraped = http_get(f"{url}/metrics")
        assert scraped.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "carecase_worker_well 1.0" in scraped.text
        assert http_get(f"{url}/else").status_code == 404
        with paused_workers(system):
            system.final(system.send([a_case(first_key)]))
        eventually(partial(has_measured, f"{url}/metrics"), what="all of it is measured")
        taken = run(
            "worker",
            cwd=tmp_path,
            variables=running_stack(system.data_dir / "stack.json").environment() | {"CARECASE_WORKER_PORT": str(port)},
        )
        assert taken.returncode == 2
        assert "worker.port" in taken.stderr
        worker.send_signal(signal.SIGSTOP)
        ended = check(tmp_path)
        assert ended.returncode == 1
        assert f"worker {worker.pid}: does not answer" in ended.stderr
        worker.send_signal(signal.SIGCONT)
        eventually(lambda: is_well(tmp_path), what="the worker is well again")
    assert worker.returncode == 0
    assert check(tmp_path).returncode == 1


def test_connections_that_only_trickle_keep_no_probe_out(system: System, tmp_path: Path) -> None:
    port = free_port()
    with worker_beside(system, tmp_path, {"CARECASE_WORKER_PORT": str(port)}), ExitStack() as stack:
        eventually(lambda: is_well(tmp_path), what="the worker is well")
        trickling = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(16)]
        for one in trickling:
            one.send(b"G")
        assert http_get(f"http://127.0.0.1:{port}/livez").status_code == 200


def test_the_check_costs_next_to_nothing(tmp_path: Path) -> None:
    def cpu_ms(*arguments: str) -> float:
        """The processor time of a program: the least of several runs."""
        costs = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [sys.executable, *arguments], cwd=tmp_path, env=process_environment() | {"TMPDIR": str(tmp_path)},
                capture_output=True, check=False,
            )  # fmt: skip
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(costs) * 1000

    assert cpu_ms("-m", "carecase_worker", "worker", "--check") - cpu_ms("-c", "pass") < CPU_MS


def test_a_worker_whose_broker_falls_silent_ends_to_be_started_again_and_its_work_does_not_wait(
    system: System, tmp_path: Path, first_key: int
) -> None:
    redis_url = running_stack(system.data_dir / "stack.json").environment()["CARECASE_REDIS_URL"]
    proxy = FreezingProxy(urlsplit(redis_url).port or 0)
    own = {
        "CARECASE_BROKER_URL": redis_url.replace(f":{urlsplit(redis_url).port}/", f":{proxy.port}/"),
        "CARECASE_WORKER_STUCK_AFTER_SECONDS": "16",
    }
    try:
        with worker_beside(system, tmp_path, own) as worker:
            eventually(lambda: is_well(tmp_path), what="the worker is well")
            proxy.freeze()
            jobs = [system.send([a_case(first_key + number)]) for number in range(10)]
            for job_id in jobs:
                system.final(job_id)
            eventually(lambda: check(tmp_path).returncode == 1, what="the check notices")
            assert worker.wait(300) == STATUS_STUCK
            lines = [json.loads(line) for line in (tmp_path / "worker.log").read_text().splitlines() if line[:1] == "{"]
            assert "worker restarts" in {line["event"] for line in lines}
    finally:
        proxy.close()


def stopped_while_waiting(system: System, main: psutil.Process) -> bool:
    """Stop a process if a chunk waits for a lock, and does so still when it has stopped."""
    if not is_waiting(system):
        return False
    main.suspend()
    if not is_waiting(system):
        main.resume()
        return False
    return True


def test_a_main_process_that_was_stopped_for_a_while_kills_no_pool_process_for_a_chunk_that_has_ended(
    system: System, tmp_path: Path, first_key: int
) -> None:
    """Its own worker is stopped while a chunk of it ends, for longer than the chunk's deadline; then it goes on."""
    deadline_s = 10.0
    timeouts = {f"CARECASE_DATABASES_{name}_STATEMENT_TIMEOUT_SECONDS": "8" for name in ("DEMO", "DEMO_SQLITE")}
    own = {"CARECASE_WORKER_CHUNK_DEADLINE_SECONDS": str(deadline_s), **timeouts}
    with worker_beside(system, tmp_path, own) as worker:
        eventually(lambda: worker.poll() is not None or is_well(tmp_path), what="the worker is well")
        assert worker.poll() is None, (tmp_path / "worker.log").read_text()
        main = psutil.Process(worker.pid)
        pool = {child.pid for child in main.children()}
        engine = create_engine(system.stack["databases"]["demo"]["url"])
        with paused_workers(system):
            with engine.begin() as connection:
                connection.execute(text("LOCK TABLE care_case IN ACCESS EXCLUSIVE MODE"))
                job_id = system.send([a_case(first_key)])
                eventually(partial(stopped_while_waiting, system, main), what="a chunk waits for the lock")
            system.final(job_id)
            time.sleep(deadline_s + 1)  # for as long as the time limit of a chunk that has ended
            main.resume()
            later = [system.send([a_case(first_key + number)]) for number in range(1, 4)]
            for one in later:
                system.final(one)
        engine.dispose()
        assert {child.pid for child in main.children()} == pool
        log = (tmp_path / "worker.log").read_text()
        assert "time limit" not in log
        assert "WorkerLostError" not in log


def is_waiting(system: System) -> bool:
    return bool(system.query("SELECT 1 FROM pg_stat_activity WHERE datname = 'demo' AND wait_event_type = 'Lock'"))
