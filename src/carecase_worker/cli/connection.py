"""Options of the client's commands for the service, its credentials and the timeout."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from carecase_worker.cli.waiting import Timeout, request_notice
from carecase_worker.client.access import Access, find_access
from carecase_worker.client.api import connect_to
from carecase_worker.client.blocking import CareCases
from carecase_worker.client.exchange.transport import is_plain, leads_elsewhere, shown_url
from carecase_worker.client.exchange.verdicts import RetryPolicy
from carecase_worker.errors import ClientError, ServiceBusy, ServiceUnreachable
from carecase_worker.settings.loading import client_variables

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts")]

_AS_OFTEN_AS_TIME_ALLOWS = 1000

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "url": (Annotated[str | None, typer.Option("--url", help="URL of the service (CARECASE_URL)")], None),
    "api_key": (
        Annotated[
            str | None,
            typer.Option(
                "--api-key", help="API key (CARECASE_API_KEY); prefer --api-key-file, as shells store a history"
            ),
        ],
        None,
    ),
    "api_key_file": (Annotated[Path | None, typer.Option("--api-key-file", help="File with the API key")], None),
    "token": (
        Annotated[
            str | None,
            typer.Option(
                "--token", help="Bearer token (CARECASE_TOKEN); prefer --token-file, as shells store a history"
            ),
        ],
        None,
    ),
    "token_file": (Annotated[Path | None, typer.Option("--token-file", help="File with the bearer token")], None),
    "insecure": (
        Annotated[bool, typer.Option("--insecure", help="Send credentials and cases to another host without TLS")],
        False,
    ),
    "timeout": (Timeout, 30.0),
}


@dataclass(frozen=True, slots=True)
class ServiceFlags:
    """The service's URL and credentials, where given as flags."""

    url: str | None
    api_key: str | None
    token: str | None
    timeout: float
    insecure: bool = False

    def connect(self, database: str | None = None) -> CareCases:
        """Make a client by flags, environment or a stack.json nearby. Raises ClientError."""
        access, limit = self._access(database), timedelta(seconds=self.timeout)
        notice = request_notice(shown_url(access), self.timeout)
        return connect_to(access, RetryPolicy(_AS_OFTEN_AS_TIME_ALLOWS, silence=limit, within=limit), notice)

    def notes(self, error: ClientError) -> Iterator[str]:
        """Yield lines to print below an error: the URL in use, and advice on --timeout."""
        with suppress(ClientError):  # then finding the URL is the error itself
            access = self._access(None)
            yield f"The service's URL is {shown_url(access)} ({access.source})."
        if isinstance(error, ServiceUnreachable | ServiceBusy) and error.status in (None, 429, 502, 503, 504):
            yield f"The timeout was {self.timeout:g} s; --timeout SECONDS sets a longer one."

    def _access(self, database: str | None) -> Access:
        flags = {"url": self.url, "api_key": self.api_key, "token": self.token, "database": database}
        access = find_access(flags, client_variables())
        if access.source.endswith("stack.json") and leads_elsewhere(access):
            raise ClientError(f"{access.source}: names another machine, which carecase up never does. Give --url.")
        if is_plain(access) and not self.insecure:
            raise ClientError(
                f"{shown_url(access)} is plain http to another host: API key, token and cases would be sent"
                " unencrypted. Use https://, or --insecure if nobody else is on that network."
            )
        return access


def _flags(given: dict[str, Any]) -> ServiceFlags:
    """Pop the shared options from `given`. Raises ClientError for a bad file, or if both flag and file are given."""
    flags = {name: given.pop(name) for name in _OPTIONS}
    for name in ("api_key", "token"):
        file, option = flags.pop(f"{name}_file"), f"--{name.replace('_', '-')}"
        if file is not None and flags[name] is not None:
            raise ClientError(f"{option} and {option}-file are both given. Give one of them.")
        flags[name] = flags[name] if file is None else _content(file, f"{option}-file")
    return ServiceFlags(**flags)


def _content(file: Path, option: str) -> str:
    try:
        content = file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise ClientError(
            f"{option}: {file} cannot be read ({getattr(error, 'strerror', None) or 'no text'})"
        ) from None
    if not content:
        raise ClientError(f"{option}: {file} is empty")
    return content


def with_service(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's first parameter, `service`, by the shared options of client commands."""

    @wraps(command)
    def called(context: typer.Context, **given: Any) -> None:
        if context.invoked_subcommand:
            return  # the command of a group, which is called instead
        service = _flags(given)
        try:
            command(service, **given)
        except ClientError as error:
            for note in service.notes(error):
                error.add_note(note)
            raise

    signature = inspect.signature(command, eval_str=True)
    _, *own = signature.parameters.values()
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _OPTIONS.items()
    ]
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [context, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own), *shared]
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called
