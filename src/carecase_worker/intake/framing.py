"""Framing of answers to HTTP/1.0, which knows no chunks."""

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
            cycle.transport.abort()  # an end in good order would make a part look whole

    return serve
