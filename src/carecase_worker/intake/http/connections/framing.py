"""Framing of responses to HTTP/1.0, which has no chunked encoding."""

import asyncio
import socket
import struct

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def ended_by_close(cycle: RequestResponseCycle, app: ASGIApp) -> ASGIApp:
    """Wrap `app` for a client of HTTP/1.0: the end of the connection ends a response without Content-Length.

    uvicorn would use chunked encoding, whose framing such a client would read as content.
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
            _reset(cycle.transport)  # an orderly end would make a partial response look complete

    return serve


def _reset(transport: asyncio.Transport) -> None:
    """Reset a connection, so that the client sees an error; unsent data is dropped."""
    linger_for_no_time = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
    transport.abort()
