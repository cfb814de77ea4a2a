"""`carecase intake`."""

import typer

from carecase_worker.cli.configuration import Config
from carecase_worker.intake.serve import serve
from carecase_worker.settings.loading import load


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(intake)


def intake(config: Config = None) -> None:
    """Run the HTTP intake."""
    serve(load(config))
