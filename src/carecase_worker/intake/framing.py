"""Framing of answers to HTTP/1.0, which knows no chunks."""

import asyncio
import socket
import struct

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def ended_by_close(cycle: RequestResponseCycle, app: ASGIApp) -> ASGIApp:
    """Serve `app` to a client of HTTP/1.0: the end of the connection ends an answer without Content-Length.

    uvicorn would send chunks, which such a client takes for the content.
    """
    is_unframed = False

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_unframed(message: Message) -> None:
            nonlocal is_unframed
            if message["type"] == "http.response.start":
                is_unframed = all(name.lower() != b"content-length" for name, _ in message["headers"])
                if is_unframed:
                    cycle.chunked_encoding = False
            elif is_unframed:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_unframed)
        if is_unframed and not cycle.response_complete:
            _reset(cycle.transport)  # an end in good order would make a part look whole

    return serve


def _reset(transport: asyncio.Transport) -> None:
    """End a connection so that the client sees an error; what has not been sent yet is not sent any more."""
    linger_for_no_time = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
    transport.abort()
