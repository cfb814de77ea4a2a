"""Idle connections to Redis and to the broker are probed by the kernel, so that a server that is gone is noticed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.acceptance.system import eventually
from tests.services import lone_valkey, redis_url
from tests.stores import Stores

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import Settings

_ESTABLISHED = "01"
_NO_TIMER, _KEEPALIVE = "00", "02"


def timers(port: int) -> set[str]:
    """The timers that run for open TCP connections to a port of this machine."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {
        timer.partition(":")[0]
        for _, _, remote, state, _, timer, *_ in lines
        if state == _ESTABLISHED and int(remote.partition(":")[2], 16) == port
    }


def of_the_job_store(settings: Settings) -> object:
    store = Stores(settings.redis, settings.jobs)
    store.client.check()
    return store


def of_the_broker(settings: Settings) -> object:
    notifier = Notifier(celery_app(settings))
    notifier.waiting("none")
    return notifier


@pytest.mark.parametrize("connected", [of_the_job_store, of_the_broker])
def test_an_idle_connection_is_kept_alive(tmp_path: Path, connected: Callable[[Settings], object]) -> None:
    with lone_valkey(tmp_path / "valkey") as port:
        held = connected(load(environment={"CARECASE_REDIS_URL": redis_url(port)}))

        def idle() -> set[str] | None:
            found = timers(port)
            return found if found <= {_NO_TIMER, _KEEPALIVE} else None

        assert eventually(idle, what="its last bytes are acknowledged") == {_KEEPALIVE}
        del held
