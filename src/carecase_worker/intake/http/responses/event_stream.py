"""Server-sent events: their text, and the streaming response."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from carecase_worker.clock import milliseconds
from carecase_worker.intake.http.connections.going_on import GOING_ON
from carecase_worker.intake.http.middleware.access_log import take_over
from carecase_worker.intake.http.requests.negotiation import EVENT_STREAM

HEARTBEAT = b": keep-alive\nevent: heartbeat\ndata: {}\n\n"
"""A comment for proxies, which close idle connections, and an event for clients, which do not see comments."""


def event(name: str, data: Any, cursor: str | None = None) -> bytes:
    """Return the text of an event; `cursor` is its id, which a client sends back when it reconnects."""
    identity = b"" if cursor is None else b"id: %s\n" % cursor.encode()
    return b"%sevent: %s\ndata: %s\n\n" % (identity, name.encode(), msgspec.json.encode(data))


def opening(again: timedelta, cursor: str | None = None) -> bytes:
    """Return the beginning of a stream: the delay before a reconnect, and the first id."""
    identity = b"" if cursor is None else b"id: %s\n" % cursor.encode()
    return b"retry: %d\n%s\n" % (milliseconds(again), identity)


class EventStreamResponse(Response):
    """A response of events, until they end or the client disconnects; proxies must not buffer it.

    The connection sends the events, see `going_on.py`.
    """

    media_type = EVENT_STREAM

    def __init__(self, events: AsyncIterator[bytes], leave: Callable[[], None]) -> None:
        """Send `events`; if the client disconnects, call `leave`, after which `events` must end."""
        super().__init__(None, 200, {"X-Accel-Buffering": "no", "Vary": "Accept"})
        del self.headers["content-length"]
        self._events = events
        self._leave = leave
        self._resources = ExitStack()

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Begin the response; for HEAD, also end it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope.get("carecase.head"):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            self._resources = take_over(scope)
            scope[GOING_ON].append(self)

    async def go_on(self, send: Send) -> None:
        """Send the events."""
        with self._resources:
            async for piece in self._events:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def leave(self) -> None:
        """End the events: the client has disconnected."""
        self._leave()
