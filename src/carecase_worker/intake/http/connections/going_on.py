"""Responses that continue after their application has returned.

A stream of events lasts for hours. While an application serves it, everything made for the request stays in memory:
stack frames of the framework and of each middleware, headers, parameters; three times as much as the stream itself.
So the response begins like any other, and the connection sends its rest after releasing the rest of the request.
"""

from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

GOING_ON = "carecase.going_on"
"""Name in the scope of the list to which a response adds its rest."""

_KEPT = frozenset({"type", "method", "http_version"})
"""Members of a scope that the connection needs while it sends a response."""


class Rest(Protocol):
    """The rest of a response."""

    async def go_on(self, send: Send) -> None:
        """Send it."""
        ...

    def leave(self) -> None:
        """Stop soon: the client has disconnected."""
        ...


def going_on(cycle: RequestResponseCycle, app: ASGIApp, rest: list[Rest], kept: frozenset[str]) -> ASGIApp:
    """Wrap `app`: the rest of its response, which it adds to `rest`, is sent once it has returned.

    The scope keeps only the members in `kept`, and those that the connection needs.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        scope[GOING_ON] = rest
        await app(scope, receive, send)
        if rest:
            for name in set(scope) - _KEPT - kept:
                del scope[name]
            if cycle.disconnected:
                rest[0].leave()
            await rest[0].go_on(send)
            rest.clear()

    return serve
