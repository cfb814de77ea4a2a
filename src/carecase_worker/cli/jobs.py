"""Commands that tell of jobs and change them: status, result, cancel, retry."""

import csv
import sys
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from carecase_worker.cli.connection import Json, ServiceFlags, with_service
from carecase_worker.cli.progress import follow, summary
from carecase_worker.client.documents import ItemResult
from carecase_worker.clock import system_sleep

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id")]


class Format(Enum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def add_commands(app: typer.Typer) -> None:
    """Add the commands that tell of jobs."""
    app.command()(status)
    app.command()(result)
    app.command()(cancel)
    app.command()(retry)


@with_service
def status(
    service: ServiceFlags,
    job: JobId,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until the job is final")] = False,
    as_json: Json = False,
) -> None:
    """Say where a job stands."""
    with service.connect() as client:
        told = client.job(job)
        if watch:
            told = follow(client, told, Console(stderr=True, highlight=False), system_sleep)
    typer.echo(msgspec.json.encode(told).decode() if as_json else summary(told))


@with_service
def result(
    service: ServiceFlags,
    job: JobId,
    failed: Annotated[bool, typer.Option("--failed", help="Only items that were not applied")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to write it")] = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Say what became of each item of a final job."""
    with service.connect() as client:
        items = list(client.results(job, page_size=None))
    shown = [item for item in items if not failed or not item.applied]
    match Format.JSON if as_json else form:
        case Format.JSON:
            typer.echo(msgspec.json.encode([item.document() for item in shown]).decode())
        case Format.CSV:
            writer = csv.writer(sys.stdout)
            writer.writerow(("index", "case_Key", "status", "body"))
            writer.writerows(_cells(item) for item in shown)
        case Format.TABLE:
            _table(items, shown)


@with_service
def cancel(service: ServiceFlags, job: JobId) -> None:
    """Cancel what has not been applied of a job."""
    with service.connect() as client:
        typer.echo(summary(client.cancel(job)))


@with_service
def retry(service: ServiceFlags, job: JobId, as_json: Json = False) -> None:
    """Send again the items of a final job that failed for a reason outside themselves: a new job."""
    with service.connect() as client:
        told = client.retry(job)
    typer.echo(msgspec.json.encode(told).decode() if as_json else summary(told))


def _cells(item: ItemResult) -> tuple[Any, ...]:
    return item.index, item.key, item.status, item.body


def _table(items: Sequence[ItemResult], shown: Sequence[ItemResult]) -> None:
    console = Console(highlight=False)
    table = Table("item", "case_Key", "status", "body", box=None)
    for item in shown:
        table.add_row(*("" if cell is None else str(cell) for cell in _cells(item)))
    console.print(table)
    counts = Counter(f"{item.status} {'' if item.status == 422 else item.body}".strip() for item in items)
    console.print(", ".join(f"{count:,} × {what}" for what, count in counts.most_common()))
