"""A message that is one, and whoever takes it fails: that is another fault than a message that is none."""

import os
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Queue
from structlog.testing import capture_logs
from tests.services import Services

TRANSPORT = "carecase_worker.worker.consumer:NotificationTransport"


def test_a_fault_of_whoever_takes_a_message_is_not_reported_as_the_messages(servers: Services) -> None:
    name = f"faults-of-takers-{os.getpid()}"
    queue = Queue(name, routing_key=name)

    def fails(_: Any) -> None:
        raise LookupError("of whoever takes it")

    with Connection(servers.redis_url, transport=TRANSPORT) as connection, capture_logs() as logs:
        connection.Producer().publish({}, routing_key=name, declare=[queue])
        with (
            connection.Consumer([queue], on_message=fails, no_ack=True),
            pytest.raises(LookupError, match="of whoever takes it"),
        ):
            connection.drain_events(timeout=60)
    assert logs == []
