"""The end of a worker that is stuck: asked to stop at first, and ended if it does not hear that."""

import subprocess
import sys

from carecase_worker.settings.loading import process_environment

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
