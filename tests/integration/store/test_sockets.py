"""Redis by a socket in the file system: one URL serves job store and broker."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.builders import a_new_job
from tests.ports import free_port
from tests.services import PASSWORDS, answers
from tests.stores import Stores

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.clock import system_sleep
from carecase_worker.embedded.children import Children
from carecase_worker.embedded.servers import valkey
from carecase_worker.settings.loading import load, process_environment


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    """The path of a Valkey's socket, short enough for one."""
    with TemporaryDirectory() as name:
        place, children = Path(name), Children(system_sleep)
        command = valkey(place / "v", free_port(), PASSWORDS, place / "log", process_environment())
        path = place / "r s.sock"
        child = children.start(replace(command, argv=[*command.argv, "--unixsocket", str(path)]))
        settings = load(environment={"CARECASE_REDIS_URL": f"unix://default:secret@{name}/r%20s.sock"})
        try:
            children.wait_ready(child, lambda: answers(Stores(settings.redis, settings.jobs)), 120)
            yield path
        finally:
            children.stop(20)


@pytest.mark.parametrize(
    ("scheme", "option"), [("unix", ""), ("unix", "?db=3"), ("redis+socket", ""), ("redis+socket", "?virtual_host=3")]
)
def test_a_socket_serves_job_store_and_broker(socket: Path, scheme: str, option: str) -> None:
    url = f"{scheme}://carecase:own@{str(socket).replace(' ', '%20')}{option}"
    settings = load(environment={"CARECASE_REDIS_URL": url, "CARECASE_DATABASES_D_URL": "sqlite:///nowhere"})
    store, notifier = Stores(settings.redis, settings.jobs), Notifier(celery_app(settings))
    store.client.check()
    waiting = notifier.waiting("d")
    notifier.notify("d", store.batches.admit(a_new_job(database="d"), {0: b"items"}).to_notify)
    assert notifier.waiting("d") == waiting + 1
    store.client.close()
