"""A new connection to the broker tells a worker that is stuck from one whose broker is away."""

import os
import socket
from contextlib import suppress
from datetime import timedelta

import pytest
from tests.ports import free_port

from carecase_worker.broker.reach import takes_connections

PATIENCE = timedelta(seconds=5)
OWN_ADDRESS = f"127.83.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
"""An address of this machine, and of no other test session."""


@pytest.mark.parametrize("scheme", ["redis", "rediss", "amqp", "amqps"])
def test_a_broker_takes_connections_while_it_listens(scheme: str) -> None:
    port = free_port()
    url = f"{scheme}://user:secret@127.0.0.1:{port}/0"
    with socket.create_server(("127.0.0.1", port)):
        assert takes_connections(url, PATIENCE)
    assert not takes_connections(url, PATIENCE)


@pytest.mark.parametrize(("scheme", "port"), [("redis", 6379), ("rediss", 6379), ("amqp", 5672), ("amqps", 5671)])
def test_a_url_without_a_port_means_that_of_its_protocol(scheme: str, port: int) -> None:
    with suppress(OSError), socket.create_server((OWN_ADDRESS, port)):  # or else there is one for every address
        assert takes_connections(f"{scheme}://{OWN_ADDRESS}", PATIENCE)


def test_one_of_several_brokers_is_enough() -> None:
    away = f"amqp://127.0.0.1:{free_port()}//"
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = f"amqp://127.0.0.1:{server.getsockname()[1]}//"
        assert takes_connections(f"{away};{there}", PATIENCE)
        assert takes_connections(f"{there};{away}", PATIENCE)
    assert not takes_connections(f"{away};{away}", PATIENCE)


def test_a_broker_at_a_unix_socket_counts_as_one_that_is_there() -> None:
    """Its address is on this machine, so that silence is the worker's own fault."""
    assert takes_connections("redis+socket:///run/valkey.sock?virtual_host=0", PATIENCE)
