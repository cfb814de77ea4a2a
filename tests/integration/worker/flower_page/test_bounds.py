"""Flower's connections and memory are bounded, whatever has passed."""

import re
import socket
from contextlib import ExitStack, suppress
from functools import partial
from urllib.parse import urlsplit

import psutil
import pytest
import redis
from tests.acceptance.system import eventually
from tests.integration.worker.flower_page.messages import id_of, is_known, message_of
from tests.integration.worker.flower_page.page import PASSWORD, TASKS, USER
from tests.plain_http import http_get
from tests.services import Services


def test_of_many_connections_the_oldest_gives_way_and_the_health_is_still_shown(flower: tuple[str, int]) -> None:
    url, pid = flower
    address, most = urlsplit(url), 200
    with ExitStack() as stack:

        def connected() -> socket.socket:
            return stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))

        def asked(one: socket.socket) -> bytes:
            received = b""
            with suppress(ConnectionError):
                one.sendall(b"GET /tools/flower/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
                while not received.endswith(b"\r\n\r\nOK") and (piece := one.recv(1 << 16)):
                    received += piece
            return received[:12]

        def gave_way() -> float:
            exposition = http_get(f"{url}/tools/flower/metrics", auth=(USER, PASSWORD)).text
            return float(re.findall(r"^carecase_flower_connections_gave_way_total (.*)$", exposition, re.MULTILINE)[0])

        assert gave_way() == 0
        connections = [connected() for _ in range(most)]
        assert [asked(one) for one in (connections[0], connections[-1])] == [b"HTTP/1.1 200"] * 2
        connections.append(connected())
        assert [asked(one) for one in (connections[-1], connections[1], connections[0])] == [
            b"HTTP/1.1 200",
            b"HTTP/1.1 200",
            b"",
        ]
        for _ in range(1100):  # more than there are descriptors, usually
            connected()
        assert http_get(f"{url}/tools/flower/healthcheck").status_code == 200
        assert psutil.Process(pid).num_fds() < most + 100
        assert 1100 < gave_way() < 1200


MOST_BYTES = 150 << 20


@pytest.mark.timeout(600)
def test_its_memory_is_bounded_whatever_has_passed(servers: Services, flower: "tuple[str, int]") -> None:
    """Tasks and workers come and go, each task with a line as long as they get."""
    url, pid = flower
    auth = (USER.encode(), PASSWORD.encode())
    with redis.Redis.from_url(servers.redis_url) as broker:
        send = partial(broker.publish, "b:/0.celeryev/task.multi")  # gives how many took it
        eventually(lambda: send(message_of(range(100))), what="Flower listens")
        for first in range(0, TASKS, 100):
            send(message_of(range(first, first + 100)))
            # what it has not taken yet is memory, too, but of Redis and of a socket
            eventually(partial(is_known, f"{url}/tools/flower/api/task/info/{id_of(first + 99)}"), 60)
    memory_bytes = psutil.Process(pid).memory_info().rss
    assert memory_bytes < MOST_BYTES, f"{memory_bytes >> 20} MB"
    assert len(http_get(f"{url}/tools/flower/api/tasks", auth=auth).json()) == 5_000
    assert len(http_get(f"{url}/tools/flower/api/workers", auth=auth).json()) <= 500
    exposition = http_get(f"{url}/tools/flower/metrics", auth=auth).text
    assert len(set(re.findall(r'worker="([^"]+)"', exposition))) <= 500
