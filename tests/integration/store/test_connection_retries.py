"""A server that hangs up on everybody: a connection to it is made once more, or not for whoever must know at once."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

import pytest
import redis

from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.redis.checkup import reach
from carecase_worker.store.redis.connection import LoopRedis, connect, connect_listener, connect_loop


@dataclass
class HangingUp:
    """A server that ends each connection, and counts them."""

    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    connections: int = 0

    @property
    def settings(self) -> RedisSettings:
        port = self.listener.getsockname()[1]
        return RedisSettings.model_validate({"url": f"redis://127.0.0.1:{port}/0"})

    def serve(self) -> None:
        """End connections until one sends something, which is not of Redis."""
        while True:
            connection, _ = self.listener.accept()
            with connection:
                connection.settimeout(60)
                said = b""
                with suppress(OSError):
                    said = connection.recv(64)
                if said == b"end":
                    return
                self.connections += 1

    def end(self) -> None:
        """End the server, once it has ended the connections before."""
        with socket.create_connection(self.listener.getsockname()) as last:
            last.sendall(b"end")
            while last.recv(64):
                pass


@contextmanager
def a_server_that_hangs_up() -> Iterator[HangingUp]:
    server = HangingUp()
    thread = Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.end()
        thread.join()
        server.listener.close()


def by_threads(settings: RedisSettings) -> None:
    with suppress(redis.RedisError), connect(settings) as client:
        client.ping()


def by_a_check(settings: RedisSettings) -> None:
    with pytest.raises(StoreUnavailable):
        reach(settings)


def on_a_loop(connected: Callable[[RedisSettings], LoopRedis]) -> Callable[[RedisSettings], None]:
    async def ask(settings: RedisSettings) -> None:
        async with connected(settings) as client:
            with suppress(redis.RedisError):
                await client.ping()

    return lambda settings: asyncio.run(ask(settings))


@pytest.mark.parametrize(
    ("ask", "is_tried_again"),
    [(by_threads, True), (by_a_check, False), (on_a_loop(connect_loop), True), (on_a_loop(connect_listener), False)],
    ids=["threads", "a check", "a loop", "a listener"],
)
def test_a_command_is_tried_again_except_for_whoever_must_know_at_once(
    ask: Callable[[RedisSettings], None], is_tried_again: bool
) -> None:
    """A listener has missed messages; a check is made again by whoever makes it."""
    with a_server_that_hangs_up() as server:
        ask(server.settings)
    assert (server.connections > 1) == is_tried_again
    assert server.connections
