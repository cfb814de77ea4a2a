"""The end of a worker that is stuck: asked to stop at first, and ended if it does not hear that."""

import signal
import subprocess
import sys

import pytest
from tests.ports import free_port
from tests.services import Services

from carecase_worker.clock import monotonic
from carecase_worker.settings.loading import load, process_environment
from carecase_worker.worker.app import monitor_of
from carecase_worker.worker.health import monitor as module
from carecase_worker.worker.health.signs import Signs

PROGRAM = """
import signal, sys
from datetime import timedelta
from carecase_worker.clock import system_sleep
from carecase_worker.worker.health.signs import Signs
from carecase_worker.worker.health.monitor import Monitor
asked, grace_s = [], float(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
monitor = Monitor(Signs(), timedelta(0), timedelta(seconds=grace_s), lambda: sys.argv[2] == "there")
for _ in range(5):
    monitor.once()
while grace_s < 1:
    system_sleep(timedelta(milliseconds=10))  # as a worker asks its monitor again and again
    monitor.once()
well = {sample.name: sample.value for sample in monitor.samples()}["carecase_worker_well"]
print(len(asked), well, monitor.health().name)
sys.exit(monitor.exit_status)
"""


def run(grace_s: float, broker: str) -> "subprocess.CompletedProcess[str]":
    """A worker that has heard nothing for as long as it may, with a broker that takes connections or is away."""
    command = [sys.executable, "-c", PROGRAM, str(grace_s), broker]
    return subprocess.run(command, env=process_environment(), capture_output=True, text=True, timeout=300, check=False)


def test_a_stuck_worker_is_asked_to_stop_once_and_ends_as_one_to_be_started_again() -> None:
    ended = run(600, "there")
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (75, "1 0 STUCK")


def test_one_that_does_not_stop_is_ended() -> None:
    ended = run(0.2, "there")
    assert ended.returncode == 75
    assert "its main loop did not react to SIGTERM" in ended.stdout + ended.stderr


def test_one_whose_broker_is_away_goes_on() -> None:
    ended = run(600, "away")
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "0 1 CUT_OFF")


def asked_to_stop_after(
    monkeypatch: pytest.MonkeyPatch, silent_s: float, servers: Services, **variables: str
) -> list[signal.Signals]:
    """What the monitor of a worker with some settings sends it that has heard nothing for so long."""
    sent: list[signal.Signals] = []
    began = monotonic()
    settings = load(environment={"CARECASE_REDIS_URL": servers.redis_url, **variables})
    monitor = monitor_of(settings, Signs(heard=began, reached=began + silent_s))
    monkeypatch.setattr(module, "monotonic", lambda: began + silent_s)
    monkeypatch.setattr("os.kill", lambda _, number: sent.append(number))
    monitor.once()
    monkeypatch.undo()
    return sent


def test_a_worker_may_be_silent_for_as_long_as_an_attempt_and_its_stop_take(
    monkeypatch: pytest.MonkeyPatch, servers: Services
) -> None:
    patient = {"CARECASE_WORKER_CHUNK_DEADLINE_SECONDS": "60", "CARECASE_JOBS_LEASE_SECONDS": "90"}
    assert asked_to_stop_after(monkeypatch, 64, servers, **patient) == []
    assert asked_to_stop_after(monkeypatch, 66, servers, **patient) == [signal.SIGTERM]
    idle = {"CARECASE_WORKER_STUCK_AFTER_SECONDS": "100"}
    assert asked_to_stop_after(monkeypatch, 99, servers, **idle) == []
    assert asked_to_stop_after(monkeypatch, 101, servers, **idle) == [signal.SIGTERM]


def test_a_worker_whose_own_broker_is_away_is_not_stuck_though_its_redis_is_there(
    monkeypatch: pytest.MonkeyPatch, servers: Services
) -> None:
    away = {"CARECASE_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0"}
    assert asked_to_stop_after(monkeypatch, 9_999, servers, **away) == []
    assert asked_to_stop_after(monkeypatch, 9_999, servers) == [signal.SIGTERM]
