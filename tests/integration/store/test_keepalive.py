"""Idle connections to Redis and to the broker are probed by the kernel, so that a server that is gone is noticed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.acceptance.system import eventually
from tests.services import Services
from tests.stores import Stores

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import Settings

_ESTABLISHED = "01"
_NO_TIMER, _KEEPALIVE = "00", "02"


def timers() -> Iterator[tuple[str, str]]:
    """The open TCP connections of this process by their inodes, and the timer that runs for each."""
    ours = {link for fd in Path("/proc/self/fd").iterdir() if (link := _target_of(fd)).startswith("socket:")}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, _, state, _, timer, _, _, _, inode, *_ = line.split()
        if state == _ESTABLISHED and f"socket:[{inode}]" in ours:
            yield inode, timer.partition(":")[0]


def _target_of(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the directory itself, which is closed by now
        return ""


def of_the_job_store(settings: Settings) -> object:
    store = Stores(settings.redis, settings.jobs)
    store.client.check()
    return store


def of_the_broker(settings: Settings) -> object:
    notifier = Notifier(celery_app(settings))
    notifier.waiting("none")
    return notifier


@pytest.mark.parametrize("connected", [of_the_job_store, of_the_broker])
def test_an_idle_connection_is_kept_alive(servers: Services, connected: Callable[[Settings], object]) -> None:
    before = dict(timers())
    held = connected(load(environment={"CARECASE_REDIS_URL": servers.redis_url}))

    def idle() -> list[str] | None:
        opened = [timer for inode, timer in timers() if inode not in before]
        return opened if set(opened) <= {_NO_TIMER, _KEEPALIVE} else None

    assert set(eventually(idle, what="its last bytes are acknowledged")) == {_KEEPALIVE}
    del held
