"""`carecase workers`."""

from contextlib import closing
from typing import Annotated

import typer

from carecase_worker.cli.configuration import Config, settings_nearby
from carecase_worker.cli.ending import STATUS_FAULT
from carecase_worker.clock import SystemClock
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.workers.presence import Presence
from carecase_worker.store.workers.standstill import Standstill
from carecase_worker.worker.processes.process_identity import is_of_this_machine


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(workers)


def workers(
    here: Annotated[bool, typer.Option("--here", help="Only workers of this machine or container")] = False,
    config: Config = None,
) -> None:
    """List the workers with a heartbeat within ten seconds.

    A health check: exit status 1 if there are none, or if none of them takes work that is due.
    """
    settings = settings_nearby(config)
    with closing(StoreClient(settings.redis)) as client:
        seen = Presence(client, SystemClock()).workers().names
        untaken = Standstill(client, settings.jobs).everywhere(settings.databases)
    names = [name for name in seen if not here or is_of_this_machine(name)]
    for name in names:
        typer.echo(name)
    if not names:
        place = "of this machine " if here else ""
        typer.echo(f"no worker {place}was seen within ten seconds; start: carecase worker", err=True)
        raise typer.Exit(STATUS_FAULT)
    if untaken is not None:
        seconds = f"{untaken.total_seconds():.0f} s"
        typer.echo(f"no worker has taken any work for {seconds}, though some is due; restart the workers", err=True)
        raise typer.Exit(STATUS_FAULT)
