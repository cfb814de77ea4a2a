"""`carecase keys`: API keys."""

import hashlib
import re
import secrets
from typing import Annotated

import msgspec
import typer

from carecase_worker.cli.connection import Json
from carecase_worker.errors import SettingsError


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    keys = typer.Typer(help="API keys", no_args_is_help=True)
    keys.callback()(lambda: None)
    keys.command("new")(keys_new)
    app.add_typer(keys, name="keys")


def keys_new(
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="The client that is to have the key")],
    as_json: Json = False,
) -> None:
    """Make an API key, and say what to put into the configuration."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", client):
        raise SettingsError(f"clients.{client}: a name has letters, digits, _ and - only, 64 at most")
    key = f"cck_{secrets.token_urlsafe(24)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    if as_json:
        typer.echo(msgspec.json.encode({"client": client, "apiKey": key, "apiKeySha256": digest}).decode())
        return
    typer.echo(f"Give this to the client; it is kept nowhere:\n  {key}\n")
    typer.echo(f'Put this into the configuration:\n  [clients.{client}]\n  api_key_sha256 = ["{digest}"]')
    typer.echo("  databases = []  # the databases it may use")
    typer.echo(f"Then its bearer tokens come from: carecase token new --client {client}")
