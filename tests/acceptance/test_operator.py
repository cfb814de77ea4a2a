"""`carecase up` as an operator has it: it refuses clearly, keeps its data, stops cleanly, revives what dies."""

import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tests.acceptance.system import COMMAND, System, eventually, run, running
from tests.builders import a_case

from carecase_worker.embedded.stack import ports_of
from carecase_worker.settings.loading import process_environment

COMMON = "/tmp"
"""The temporary directory of every suite on this machine, whichever is its own: starts take turns there."""


def test_a_data_directory_keeps_all_through_a_stop_a_kill_and_a_port_that_is_taken(tmp_path: Path) -> None:
    """Live four times: the start is most of the time of a test, so that one looks at all that another start shows."""

    def log() -> str:
        return (tmp_path / "up.log").read_text()

    with running(tmp_path, "--workers", "1", "--demo") as system:
        eventually(lambda: "Ctrl-C" in log())
        assert "completed: 5,000 of 5,000" in log(), "the sample goes into a new directory"
        job_id = system.send([a_case(1, case_ID="mine"), a_case(100_001)])
        before = system.final(job_id)
        stack_file = system.data_dir / "stack.json"
        assert stat.S_IMODE(stack_file.stat().st_mode) == 0o600
        family = psutil.Process(system.process.pid).children(recursive=True)
        assert len(family) > 6
        urls = urls_of(system)
        before_stop = system.log_sizes()
        stop_while_the_intake_takes_its_time(system)
    assert system.process.returncode == 0
    assert not stack_file.exists()
    assert [process for process in family if process.is_running()] == []
    assert "cannot be reached" not in system.logs(before_stop), "Redis goes when nobody needs it any more"
    with running(tmp_path, "--workers", "1") as system:
        assert system.final(job_id) == before
        assert urls_of(system) == urls
        unfinished = system.send([a_case(key) for key in range(200_000, 220_000)])
        family = psutil.Process(system.process.pid).children(recursive=True)
        system.process.send_signal(signal.SIGKILL)
        eventually(lambda: not [one for one in family if alive(one)], what="no child is left")
    port = urlsplit(urls[0]).port
    with socket.create_server(("127.0.0.1", port or 0)), running(tmp_path, "--workers", "1", "--demo") as system:
        eventually(lambda: "Ctrl-C" in log())
        assert "No sample is sent: this data directory was used before" in log()
        assert f"Port {port} is taken by another program: the API listens on" in log()
        assert system.final(unfinished)["created"] == 20_000
        assert system.query("SELECT case_id FROM care_case WHERE case_key = 1") == [("mine",)]
        assert system.query("SELECT count(*) FROM care_case WHERE case_key > 100000") == [(20_001,)]
        with system.client() as client:
            assert len(client.get("/jobs").json()["data"]) == 3
        assert ports_of(system.data_dir).intake == urlsplit(urls_of(system)[0]).port, "the next start takes it again"
    shutil.rmtree(system.data_dir / "valkey")  # as if every job had expired
    with running(tmp_path, "--workers", "1", "--demo"):
        eventually(lambda: "Ctrl-C" in log())
        assert "No sample is sent: this data directory was used before" in log(), "it has cases"


def stop_while_the_intake_takes_its_time(system: System) -> None:
    """Stop a system, with an intake that goes on only once the other roles have ended."""
    pids = system.stack["processes"]
    intake, *servers = (psutil.Process(pids[part][0]) for part in ("intake", "redis", "postgresql"))
    others = [psutil.Process(pid) for role in ("worker", "flower") for pid in pids[role]]
    intake.suspend()
    system.process.terminate()
    eventually(lambda: not any(map(alive, others)), what="the other roles have ended")
    with suppress(psutil.NoSuchProcess):  # a role that takes too long is killed
        intake.resume()
    eventually(lambda: not all(map(alive, servers)), what="a server has ended")
    assert not alive(intake), "servers are stopped once no role needs them any more"


def urls_of(system: System) -> list[str]:
    """Where the parts listen, in the order of stack.json."""
    stack = system.stack
    return [stack[part]["url"] for part in ("intake", "flower", "redis")] + [stack["databases"]["demo"]["url"]]


def alive(process: psutil.Process) -> str:
    """What a process is, if it runs; one that has ended may wait for whoever is process 1 to ask about it."""
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def test_two_systems_started_together_keep_out_of_each_others_way(tmp_path: Path) -> None:
    places = [tmp_path / "one place", tmp_path / "another place"]
    for place in places:
        place.mkdir()
    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        start = partial(running, TMPDIR=COMMON)
        systems = list(pool.map(lambda place: stack.enter_context(start(place, "--workers", "1")), places))
        urls = {system.stack[part]["url"] for system in systems for part in ("intake", "flower", "redis")}
        assert len(urls) == 6
        for number, system in enumerate(systems, start=1):
            job_id = system.send([a_case(key) for key in range(number)])
            assert system.final(job_id)["created"] == number


@pytest.mark.parametrize("numbers", [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)])
def test_it_stops_cleanly_also_while_it_starts_and_whoever_presses_twice(
    tmp_path: Path, numbers: tuple[signal.Signals, ...]
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "up"],
        cwd=tmp_path,
        env=process_environment() | {"TMPDIR": COMMON},
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: (tmp_path / ".carecase" / "logs" / "redis.log").exists())
    for number in numbers:
        process.send_signal(number)
    assert process.wait(300) == 0
    assert "Traceback" not in process.communicate()[1]
    assert not (tmp_path / ".carecase" / "stack.json").exists()
    eventually(lambda: not [one for one in psutil.process_iter() if str(tmp_path) in alive(one)])


def test_cases_are_not_readable_for_others_on_the_machine(system: System) -> None:
    readable = [
        path
        for path in system.data_dir.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and "postgres" not in path.parts
    ]
    assert readable == []
    assert stat.S_IMODE((system.data_dir / "postgres").stat().st_mode) & 0o077 == 0


def test_two_on_one_data_directory_are_refused(system: System) -> None:
    second = run("up", cwd=system.place)
    assert second.returncode == 2
    assert "another carecase up runs in it" in second.stderr
    assert system.process.poll() is None


def test_a_taken_port_is_reported(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = run("up", "--port", str(taken.getsockname()[1]), cwd=tmp_path)
    assert refused.returncode == 2
    assert "is taken" in refused.stderr
    assert "--port" in refused.stderr


def test_every_mistake_in_the_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "carecase.toml").write_text('[intake]\nprot = 1\nport = "x"\n[clients.a]\ndatabases = ["b"]\n')
    refused = run("intake", "--config", "carecase.toml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "intake.prot: no such setting; did you mean port?" in refused.stderr
    assert "intake.port: " in refused.stderr
    assert "clients.a.databases: 'b' is not a configured database" in refused.stderr


@pytest.mark.parametrize("role", ["redis", "postgresql", "intake", "worker", "flower"])
def test_a_child_that_dies_is_there_again_within_a_second(system: System, role: str) -> None:
    before = system.pid(role)
    system.kill(before)
    after = eventually(lambda: (pid := system.pid(role)) != before and pid, 5, f"another {role} was started")
    assert psutil.pid_exists(after)
    eventually(lambda: system.job(system.send([a_case(1)])), what="the system works again")


def test_the_service_is_ready_while_redis_and_workers_are(system: System) -> None:
    with system.client() as client:
        eventually(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/livez").json() == {"status": "ok"}


def test_the_metrics_show_what_was_applied(system: System) -> None:
    system.final(system.send([a_case(5), a_case(6, case_Status=7)]))
    with system.client() as client:
        text = client.get("/metrics").text
    assert 'carecase_items_total{database="demo",outcome="failed"}' in text
    assert 'carecase_http_requests_total{method="PUT",route="/care-cases-batch",status="202"}' in text
    with system.client() as client:
        eventually(lambda: "carecase_workers 2.0" in client.get("/metrics").text, what="two workers are seen")


def test_it_says_that_it_waits_for_another_start_and_can_be_stopped_meanwhile(tmp_path: Path) -> None:
    environment = {**process_environment(), "TMPDIR": str(tmp_path)}
    with (tmp_path / f"carecase-up-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen([*COMMAND, "up"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert "another carecase up" in line


def test_up_says_which_configuration_it_used(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[intake]\nprot = 1\n")
    refused = run("up", "--config", "c.toml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "Configuration used: c.toml (--config), and no variables CARECASE_…" in refused.stderr
