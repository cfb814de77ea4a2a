"""HEAD (as GET without a body), OPTIONS, and the methods that a path allows."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE", "TRACE")


class HeadOptions:
    """ASGI middleware that handles OPTIONS, and HEAD on every path with GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        method = scope["method"] if scope["type"] == "http" else None
        allow = allowed(scope) if method == "OPTIONS" else ""
        if allow:
            await Response(status_code=204, headers={"Allow": allow})(scope, receive, send)
        elif method == "HEAD":
            await self._head(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # the server goes by its own scope: with HEAD it expects no body
        inner = {**scope, "method": "GET", "carecase.head": True}
        try:
            await self._app(inner, receive, without_body)
        finally:
            scope.update(inner, method="HEAD")


def is_head(request: Request) -> bool:
    """Return whether the request is HEAD, so that the body of the response is not sent."""
    return bool(request.scope.get("carecase.head"))


def allowed(scope: Scope) -> str:
    """Return the value of the Allow header for a request's path; empty for an unknown path."""
    routes: list[BaseRoute] = scope["app"].router.routes
    taken = [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    if not taken:
        return ""
    return ", ".join([*taken, *(["HEAD"] if "GET" in taken else []), "OPTIONS"])
