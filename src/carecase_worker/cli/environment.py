"""`carecase env`: the client's settings for a shell."""

import shlex

import typer

from carecase_worker.client.access import find_access
from carecase_worker.errors import ClientError
from carecase_worker.settings.loading import client_variables


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command("env")(environment)


def environment() -> None:
    """Print where the service is, and the credentials for it, as shell exports: eval "$(carecase env)"."""
    try:
        access = find_access({}, {})  # what this shell was told of an earlier start is out of date
    except ClientError:
        access = find_access({}, client_variables())
    for name in ("url", "api_key", "token", "database"):
        value = getattr(access, name)
        if value is not None:
            typer.echo(f"export CARECASE_{name.upper()}={shlex.quote(value)}")
