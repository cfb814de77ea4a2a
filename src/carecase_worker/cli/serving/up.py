"""`carecase up`: the whole system on embedded servers."""

from pathlib import Path
from typing import Annotated

import typer

from carecase_worker.cli.configuration import Config, noted
from carecase_worker.cli.ending import plain_console
from carecase_worker.cli.serving.demo import show
from carecase_worker.clock import SystemClock, system_sleep
from carecase_worker.embedded.system import Options, run
from carecase_worker.settings.loading import sources
from carecase_worker.settings.model import LogSettings
from carecase_worker.telemetry import configure_logging


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(
    data_dir: Annotated[Path, typer.Option(help="Directory of all data; survives restarts")] = Path(".carecase"),
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Port of the API; default: that of the last start here, else 8080 or a free one",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of workers, each with its own process pool")] = 2,
    demo: Annotated[
        bool, typer.Option("--demo", help="In a new data directory, send a sample batch and show it being applied")
    ] = False,
    observe: Annotated[
        bool, typer.Option("--observe", help="Also start Prometheus with the alert rules; it must be installed")
    ] = False,
    config: Config = None,
) -> None:
    """Run the whole system here, on embedded servers, until Ctrl-C."""
    configure_logging(LogSettings(format="console", level="warning"))
    console = plain_console()
    console.print(f"Starting in {data_dir}")
    with noted(sources(config)):
        run(
            Options(data_dir, port, workers, config, observe),
            SystemClock(),
            system_sleep,
            lambda started: show(started, demo, console),
        )
    console.print("Stopped.")
