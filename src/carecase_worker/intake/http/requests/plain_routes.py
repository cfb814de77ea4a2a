"""Routes that parse their own parameters, by the types that they publish.

FastAPI publishes them like any other. Its declarative parsing costs as much as all other work for a small batch or a
poll, so the few parameters of these paths are parsed by hand.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from carecase_worker.intake.http.requests.parameters import bad_parameters

Read = Callable[[Request], Awaitable[Mapping[str, Any]]]
"""A function that returns the arguments of an endpoint, except the request."""


def read_by(read: Read) -> type[APIRoute]:
    """Make the class of routes whose arguments `read` returns."""

    class PlainRoute(APIRoute):
        """A route whose endpoint gets its arguments from `read`."""

        def get_route_handler(self) -> Callable[[Request], Any]:
            """Make the handler of a request."""

            async def handle(request: Request) -> Response:
                answer: Response = await self.endpoint(request=request, **await read(request))
                return answer

            return handle

    return PlainRoute


class Parameters:
    """The parameters of one request. Invalid values are collected and refused together."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._bad: list[str] = []

    def take(self, name: str, kind: TypeAdapter[Any], sent: str | None) -> Any:
        """Parse a parameter by its published type; None if it was not sent, or is invalid."""
        if sent is None:
            return None
        try:
            return kind.validate_python(sent)
        except ValidationError:
            self._bad.append(name)
            return None

    def require_good(self) -> None:
        """Raise BatchRefused if any parameter is invalid."""
        if self._bad:
            raise bad_parameters(self._request, self._bad)
