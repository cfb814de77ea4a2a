"""Connections in a time of their own: it stands still until a test moves it on, so that no deadline depends on luck."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec

from starlette.types import ASGIApp
from uvicorn.server import ServerState

from carecase_worker.intake.limits.process import Shared
from carecase_worker.intake.server import server_of
from carecase_worker.settings.sections.intake import IntakeSettings

_P = ParamSpec("_P")


class Fence:
    """A datagram of this process to itself."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(self._socket.getsockname())

    def wait_for_packets(self) -> None:
        """Wait until everything sent over this machine's own network has arrived, as the system may put that off.

        A processor delivers its packets in their order: those before this one are there when it is.
        """
        self._socket.send(b".")
        self._socket.recv(1)

    def close(self) -> None:
        self._socket.close()


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock is moved by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0.0
        self.fence = Fence()

    def time(self) -> float:
        return self.moment

    def close(self) -> None:
        self.fence.close()
        super().close()


@contextmanager
def on_one_processor() -> Iterator[None]:
    """Have what is sent be delivered in its order: two processors would do so beside each other."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(usual)[os.getpid() % len(usual)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


def in_own_time(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Have a test run in a time of its own."""

    @wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        with on_one_processor(), asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def _loop() -> _Loop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _Loop)
    return loop


async def elapse(seconds: float) -> None:
    """Let time go by, and what is due happen."""
    _loop().moment += seconds
    await settle()


async def settle() -> None:
    """Let everything happen that can happen now."""
    _loop().fence.wait_for_packets()
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass
class Client:
    """A client that speaks by the byte."""

    socket: socket.socket

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)
        await settle()

    async def receive(self, at_most: int = 1 << 16) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.socket, at_most)

    async def rest(self) -> bytes:
        """Everything until the service closes."""
        received = b""
        while piece := await self.receive():
            received += piece
        return received

    async def answer(self) -> bytes:
        """One answer with Content-Length."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = await self.receive()
            assert piece, received
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        (length,) = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < int(length.partition(b":")[2]):
            body += await self.receive()
        return head + b"\r\n\r\n" + body

    async def is_open(self) -> bool:
        """Tell if the service has left the connection open, and nothing to read."""
        await settle()
        try:
            return self.socket.recv(1, socket.MSG_PEEK) is None
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def end_side(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def break_off(self) -> None:
        """Close by a reset, as when a client dies."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@dataclass
class Service:
    """What serves: its address, and the connections and requests that it has."""

    address: tuple[str, int]
    state: ServerState

    @asynccontextmanager
    async def client(self, receive_buffer: int | None = None) -> AsyncIterator[Client]:
        """A connection; with a small buffer, what it does not read stays with the service."""
        with socket.socket() as opened:
            opened.setblocking(False)
            # else a piece waits in real time until the one before it is acknowledged
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive_buffer:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            await asyncio.get_running_loop().sock_connect(opened, self.address)
            await settle()
            yield Client(opened)


@asynccontextmanager
async def served(app: ASGIApp, **settings: Any) -> AsyncIterator[Service]:
    """Serve an application behind the guard that `[intake]` settings describe, in this loop."""
    made: Any = app
    intake = IntakeSettings.model_validate(settings)
    config = server_of(made, intake, lambda: None, Shared.of(intake)).config
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    protocol: Any = config.http_protocol_class
    server = await loop.create_server(lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
    try:
        yield Service(server.sockets[0].getsockname(), state)
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await settle()
