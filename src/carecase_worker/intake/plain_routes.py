"""Routes that read their requests themselves, by the types that they publish.

FastAPI publishes them as any other. To take a request apart by declarations costs it as much as all else that is done
for a small batch or a poll, so the few values of these paths are read by hand.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from carecase_worker.intake.parameters import bad_parameters

Read = Callable[[Request], Awaitable[Mapping[str, Any]]]
"""Gives the arguments of an endpoint, but for the request."""


def read_by(read: Read) -> type[APIRoute]:
    """The class of routes whose arguments are read by a function."""

    class PlainRoute(APIRoute):
        """A route whose endpoint is called with what the function has read."""

        def get_route_handler(self) -> Callable[[Request], Any]:
            """Make what answers a request."""

            async def handle(request: Request) -> Response:
                answer: Response = await self.endpoint(request=request, **await read(request))
                return answer

            return handle

    return PlainRoute


class Parameters:
    """The parameters of one request. What is not as published is told at the end, all at once."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._bad: list[str] = []

    def take(self, name: str, kind: TypeAdapter[Any], sent: str | None) -> Any:
        """The value of a parameter by its published type; None if it was not sent, or is bad."""
        if sent is None:
            return None
        try:
            return kind.validate_python(sent)
        except ValidationError:
            self._bad.append(name)
            return None

    def require_good(self) -> None:
        """Raise BatchRefused if one is bad."""
        if self._bad:
            raise bad_parameters(self._request, self._bad)
