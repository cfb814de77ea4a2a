"""`carecase worker`."""

import typer

from carecase_worker.cli.configuration import Config, configured
from carecase_worker.cli.start import await_redis
from carecase_worker.worker.app import run_worker


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(worker)


def worker(config: Config = None) -> None:
    """Run a worker: a main process, and a pool of processes that apply chunks."""
    with configured(config) as settings:
        await_redis(settings)
        status = run_worker(settings)
    raise typer.Exit(status)
