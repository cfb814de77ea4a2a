"""`carecase worker`."""

import typer

from carecase_worker.cli.configuration import Config
from carecase_worker.settings.loading import load
from carecase_worker.worker.app import run_worker


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(worker)


def worker(config: Config = None) -> None:
    """Run a worker: a main process, and a pool of processes that apply chunks."""
    raise typer.Exit(run_worker(load(config)))
