"""`carecase token`: bearer tokens, signed with the secret of the configuration."""

import re
from datetime import timedelta
from typing import Annotated

import msgspec
import typer

from carecase_worker.cases.care_case import USER_LENGTH
from carecase_worker.cli.configuration import Config, settings_nearby
from carecase_worker.cli.connection import Json
from carecase_worker.clock import SystemClock, uuid7
from carecase_worker.errors import SettingsError
from carecase_worker.tokens import Bearer, sign

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=366)


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    token = typer.Typer(help="Bearer tokens", no_args_is_help=True)
    token.callback()(lambda: None)
    token.command("new")(token_new)
    app.add_typer(token, name="token")


def token_new(
    client: Annotated[str, typer.Option(help="The client of the token, by its name in the configuration")],
    subject: Annotated[
        str | None, typer.Option(help="The user in the audit fields; default: the client's name")
    ] = None,
    expires: Annotated[str, typer.Option(help="Lifetime: 30m, 8h, 30d, 4w; at most 366d")] = "8h",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Sign a bearer token and print only that: TOKEN=$(carecase token new --client demo)."""
    lifetime = lifetime_of(expires)
    user = _user(client if subject is None else subject)
    settings = settings_nearby(config)
    if client not in settings.clients:
        there = ", ".join(settings.clients) or "none"
        raise SettingsError(
            f"clients.{client}: is not configured (there are: {there}); carecase keys new {client} says what to add"
        )
    clock = SystemClock()
    now = clock.now()
    bearer = Bearer(client, user, now + lifetime, str(uuid7(clock)))
    token = sign(bearer, settings.jwt, now)
    if as_json:
        token = msgspec.json.encode(
            {"token": token, "id": bearer.token_id, "client": client, "subject": user, "expiresAt": bearer.expires_at}
        ).decode()
    typer.echo(token)


def lifetime_of(text: str) -> timedelta:
    """Parse a lifetime such as 8h or 30d, of at most 366 days. Raises BadParameter."""
    parts = re.fullmatch(r"([0-9]{1,6})([mhdw])", text.strip())
    lifetime = timedelta(**{_UNITS[parts[2]]: int(parts[1])}) if parts else timedelta()
    if not timedelta() < lifetime <= _LONGEST:
        raise typer.BadParameter(
            "give a number and a unit, as 30m, 8h, 30d or 4w; at most 366d", param_hint="--expires"
        )
    return lifetime


def _user(subject: str) -> str:
    """Check that the audit fields can hold the name of a user. Raises BadParameter."""
    if not subject.isprintable() or not 0 < len(subject) <= USER_LENGTH:
        raise typer.BadParameter(
            f"must have 1 to {USER_LENGTH} printable characters: it goes into the audit fields",
            param_hint="--subject",
        )
    return subject
