"""`carecase env`: the client's settings for a shell."""

import shlex

import msgspec
import typer

from carecase_worker.cli.connection import Json
from carecase_worker.client.access import find_access
from carecase_worker.errors import ClientError
from carecase_worker.settings.loading import client_variables


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command("env")(environment)


def environment(as_json: Json = False) -> None:
    """Print the service's URL and credentials as shell exports: eval "$(carecase env)"."""
    try:
        access = find_access({}, {})  # this shell's variables may be of an earlier start
    except ClientError:
        access = find_access({}, client_variables())
    values = {f"CARECASE_{name.upper()}": getattr(access, name) for name in ("url", "api_key", "token", "database")}
    variables = {name: value for name, value in values.items() if value is not None}
    if as_json:
        typer.echo(msgspec.json.encode(variables).decode())
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
