"""`carecase intake`."""

import typer

from carecase_worker.cli.configuration import Config, configured
from carecase_worker.cli.serving.start import await_redis, check_callers
from carecase_worker.intake.server import serve


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(intake)


def intake(config: Config = None) -> None:
    """Run the HTTP intake."""
    with configured(config) as settings:
        check_callers(settings)
        await_redis(settings)
        serve(settings)
