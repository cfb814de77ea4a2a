"""Notifications that a killed worker had taken come again; if they did not, the sweep would hide it."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import redis
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.celery_app import celery_app, queue_name
from carecase_worker.broker.notifier import Notifier
from carecase_worker.settings.loading import load

QUEUE = queue_name("demo")
_numbers = count()


class Broker:
    """A broker with one notification; each channel is that of another worker."""

    def __init__(self, servers: Services, raw: Any, stack: ExitStack) -> None:
        self.prefix = f"redelivery{next(_numbers)}:"
        variables = {
            "REDIS_URL": servers.redis_url,
            "BROKER_PREFIX": self.prefix,
            "DATABASES_DEMO_URL": "sqlite:///nowhere",
        }
        self._app = celery_app(load(environment={f"CARECASE_{name}": value for name, value in variables.items()}))
        self._raw, self._stack = raw, stack
        Notifier(self._app).notify("demo", [ChunkRef(str(uuid4()), 0)])

    def channel(self) -> Any:
        return self._stack.enter_context(self._app.connection_for_read()).default_channel

    def age(self, seconds: int) -> None:
        """Let what is taken have been taken so much earlier."""
        index = f"{self.prefix}unacked_index"
        for tag in self._raw.zrange(index, 0, -1):
            self._raw.zincrby(index, -seconds, tag)


@pytest.fixture
def broker(servers: Services, raw_redis: redis.Redis) -> Iterator[Broker]:
    with ExitStack() as stack:
        yield Broker(servers, raw_redis, stack)


def test_a_notification_comes_again_after_five_minutes_and_no_sooner(broker: Broker) -> None:
    assert broker.channel().basic_get(QUEUE), "it is taken, and never acknowledged"
    for seconds, is_back in ((240, False), (61, True)):
        broker.age(seconds)
        other = broker.channel()
        other.qos.restore_visible()
        assert bool(other.basic_get(QUEUE)) is is_back


def test_a_worker_that_is_killed_while_it_gives_them_back_holds_others_up_for_seconds(
    broker: Broker, raw_redis: redis.Redis
) -> None:
    with raw_redis.monitor() as monitor:
        broker.channel().qos.restore_visible()
        commands = (one["command"] for one in monitor.listen())
        lock = next(command for command in commands if f"{broker.prefix}unacked_mutex" in command)
    assert lock.startswith("SET ")
    assert lock.endswith(" NX PX 10000")
