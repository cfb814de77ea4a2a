"""`carecase worker`."""

from typing import Annotated

import typer

from carecase_worker.cli.configuration import Config, configured
from carecase_worker.cli.serving.start import await_redis
from carecase_worker.worker.app import run_worker
from carecase_worker.worker.health.check import check as checked


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(worker)


def worker(
    check: Annotated[
        bool, typer.Option("--check", help="Check the health of this user's workers on this machine, and exit")
    ] = False,
    config: Config = None,
) -> None:
    """Run a worker: a main process, and a pool of processes that apply chunks.

    With --check: exit status 0 if workers run here and all are healthy, else 1.
    """
    if check:
        raise typer.Exit(checked())
    with configured(config) as settings:
        await_redis(settings)
        status = run_worker(settings)
    raise typer.Exit(status)
