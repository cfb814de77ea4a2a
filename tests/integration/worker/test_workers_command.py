"""`carecase workers`: it lists who is alive, and its exit status is a health check."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.meanwhile import meanwhile
from tests.services import Services

from carecase_worker.clock import SystemClock
from carecase_worker.settings.loading import process_environment
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.workers.presence import Presence
from carecase_worker.worker.processes.process_identity import own_name

ELSEWHERE = "another-machine/boot/1:7:123"


@pytest.fixture
def presence(servers: Services) -> Iterator[Presence]:
    settings = RedisSettings.model_validate({"url": servers.redis_url, "prefix": "workers-command:"})
    client = StoreClient(settings)
    yield Presence(client, SystemClock())
    client.close()


def ended_process() -> str:
    """The name of a worker of this machine that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    machine, _, _ = own_name().partition(":")
    return f"{machine}:{process.pid}:1"


@pytest.mark.parametrize(
    ("seen", "options", "status"),
    [
        ([], (), 1),
        ([], ("--here",), 1),
        ([ELSEWHERE], (), 0),
        ([ELSEWHERE], ("--here",), 1),
        ([ELSEWHERE, own_name()], ("--here",), 0),
        ([ended_process()], ("--here",), 1),
    ],
    ids=["none", "none here", "one elsewhere", "none here but one elsewhere", "one here", "one here that was killed"],
)
def test_it_succeeds_if_a_worker_is_alive(
    servers: Services, presence: Presence, seen: list[str], options: tuple[str, ...], status: int
) -> None:
    environment = {
        **process_environment(),
        "CARECASE_REDIS_URL": servers.redis_url,
        "CARECASE_REDIS_PREFIX": "workers-command:",
    }

    command = [sys.executable, "-m", "carecase_worker", "workers", *options]

    def say_it() -> None:
        for name in seen:
            presence.seen(name)

    say_it()
    with meanwhile(say_it, 0.05):  # as workers do, who are forgotten after ten seconds
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    for name in seen:
        presence.unseen(name)
    assert done.returncode == status, done.stderr
    if status:
        assert done.stdout == ""
        assert "carecase worker" in done.stderr
    else:
        assert (socket.gethostname() in done.stdout) == ("--here" in options)
