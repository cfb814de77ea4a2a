"""How the client's commands find the service."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer

from carecase_worker.client.access import find_access
from carecase_worker.client.api import connect_to
from carecase_worker.client.blocking import CareCases
from carecase_worker.settings.loading import client_variables

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for scripts")]

_OPTIONS = {
    "url": typer.Option("--url", help="Where the service is (CARECASE_URL)"),
    "api_key": typer.Option("--api-key", help="API key (CARECASE_API_KEY)"),
    "token": typer.Option("--token", help="Bearer token (CARECASE_TOKEN)"),
}


@dataclass(frozen=True, slots=True)
class ServiceFlags:
    """Where the flags say that the service is."""

    url: str | None
    api_key: str | None
    token: str | None

    def connect(self, database: str | None = None) -> CareCases:
        """A client for what the flags, the environment or a stack.json nearby say. Raises ClientError."""
        flags = {"url": self.url, "api_key": self.api_key, "token": self.token, "database": database}
        return connect_to(find_access(flags, client_variables()))


def with_service(command: Callable[..., None]) -> Callable[..., None]:
    """The command, its first parameter `service` turned into the options that every client's command has."""

    @wraps(command)
    def called(**given: Any) -> None:
        service = ServiceFlags(**{name: given.pop(name) for name in _OPTIONS})
        command(service, **given)

    signature = inspect.signature(command, eval_str=True)
    _, *own = signature.parameters.values()
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option])
        for name, option in _OPTIONS.items()
    ]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + shared
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called
