"""The limits of a connection in tests, and applications behind them."""

import asyncio
import json
from typing import Any

from starlette.types import Receive, Scope, Send
from tests.integration.intake.own_time import Client, Service, settle

HEAD_S, IDLE_S, STALL_S, HEAD_BYTES = 10.0, 75.0, 30.0, 1024

GUARD = {
    "header_timeout_seconds": HEAD_S,
    "idle_timeout_seconds": IDLE_S,
    "stall_timeout_seconds": STALL_S,
    "max_header_bytes": HEAD_BYTES,
}
BLINK = 0.001
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


async def done(send: Send, body: bytes = b"done") -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def at_once(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a look at the body."""
    await done(send)


class Held:
    """Answers once a test lets it."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.go_on.wait()
        await done(send)


class Download:
    """Answers with many pieces, as fast as the client reads them."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(self.pieces):
            await send({"type": "http.response.body", "body": b"x" * (1 << 16), "more_body": True})
            self.sent += 1
        await send({"type": "http.response.body", "body": b""})

    async def waits(self) -> bool:
        """Tell if it waits for the client, rather than being at an end."""
        before = -1
        while before != self.sent:
            before = self.sent
            await settle()
        return self.sent < self.pieces


async def read_on(client: Client, download: Download) -> bytes:
    """Read until the service has sent another piece."""
    received, before = b"", download.sent
    while download.sent == before:
        piece = await client.receive()
        assert piece, "the answer broke off"
        received += piece
        await settle()
    return received


def problem_of(response: bytes) -> dict[str, Any]:
    """The problem that an answer of the guard holds; it says that the connection ends."""
    head, _, body = response.partition(b"\r\n\r\n")
    error = dict(json.loads(body)["error"])
    lines = head.decode().split("\r\n")
    assert lines[0].split()[:2] == ["HTTP/1.1", str(error["status"])]
    assert lines[1:] == ["content-type: application/json", f"content-length: {len(body)}", "connection: close"]
    return error


def nobody(service: Service) -> bool:
    return not service.state.connections and not service.state.tasks
