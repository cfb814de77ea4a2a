"""`carecase flower`."""

import typer

from carecase_worker.cli.configuration import Config, configured
from carecase_worker.flower.server import run_flower


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(flower)


def flower(config: Config = None) -> None:
    """Run Flower, the operators' page."""
    with configured(config) as settings:
        run_flower(settings)
