"""A broker that cannot be used, for whatever reason, is one that is away: the sweep makes up for what it missed."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from urllib.parse import urlsplit

import pytest
import redis
from tests.ports import free_port
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.celery_app import celery_app, queue_name
from carecase_worker.broker.notifier import Notifier
from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.loading import load

CHUNK = ChunkRef("0199c0de-0000-7000-8000-000000000001", 0)
_prefixes = count()


def notifier_at(url: str, prefix: str) -> Notifier:
    variables = {
        "CARECASE_REDIS_URL": url,
        "CARECASE_BROKER_PREFIX": prefix,
        "CARECASE_DATABASES_DEMO_URL": "sqlite:///nowhere",
    }
    return Notifier(celery_app(load(environment=variables)))


@contextmanager
def _nobody_listens(_: Services, __: str) -> Iterator[str]:
    yield f"redis://127.0.0.1:{free_port()}/0"


@contextmanager
def _it_hangs_up(_: Services, __: str) -> Iterator[str]:
    def hang_up(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                server.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=hang_up, args=(server,), daemon=True).start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@contextmanager
def _the_password_is_wrong(servers: Services, _: str) -> Iterator[str]:
    parts = urlsplit(servers.redis_url)
    yield parts._replace(netloc=f"somebody:wrong@127.0.0.1:{parts.port}").geturl()


@contextmanager
def _it_refuses(servers: Services, prefix: str) -> Iterator[str]:
    """As one does whose memory is full, or that is a replica."""
    with redis.Redis.from_url(servers.redis_url) as client:
        client.set(f"{prefix}{queue_name('demo')}", "no queue")
        yield servers.redis_url
        client.delete(f"{prefix}{queue_name('demo')}")


@pytest.mark.parametrize(
    "reason", [_nobody_listens, _it_hangs_up, _the_password_is_wrong, _it_refuses], ids=lambda one: one.__name__
)
@pytest.mark.parametrize(
    "use",
    [lambda notifier: notifier.notify("demo", [CHUNK]), lambda notifier: notifier.waiting("demo")],
    ids=["notify", "waiting"],
)
def test_a_broker_that_cannot_be_used_is_away(
    servers: Services, reason: Callable[[Services, str], AbstractContextManager[str]], use: Callable[[Notifier], object]
) -> None:
    """Or else an intake would answer 500 to a batch that it has accepted."""
    prefix = f"absent{next(_prefixes)}:"
    with (
        reason(servers, prefix) as url,
        pytest.raises(StoreUnavailable, match=r"check that it runs, and broker\.url"),
    ):
        use(notifier_at(url, prefix))
