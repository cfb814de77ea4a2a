"""Commands that tell of jobs and change them: status, result, cancel, retry, jobs."""

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
from carecase_worker.client.api import CareCases

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id")]
_NOT_APPLIED = ("failed", "cancelled")


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
    app.command()(jobs)


@with_service
def status(
    service: ServiceFlags,
    job: JobId,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until the job is final")] = False,
    as_json: Json = False,
) -> None:
    """Say where a job stands."""
    with service.connect() as client:
        document = client.job(job)
        if watch:
            document = follow(client, document, Console(stderr=True, highlight=False))
    typer.echo(msgspec.json.encode(document).decode() if as_json else summary(document))


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
        items = _not_applied(client, job) if failed else _all(client, job)
    match Format.JSON if as_json else form:
        case Format.JSON:
            typer.echo(msgspec.json.encode(items).decode())
        case Format.CSV:
            writer = csv.writer(sys.stdout)
            writer.writerow(("index", "case_Key", "status", "body"))
            writer.writerows(_cells(item) for item in items)
        case Format.TABLE:
            _table(items)


@with_service
def cancel(service: ServiceFlags, job: JobId) -> None:
    """Cancel what has not been applied of a job."""
    with service.connect() as client:
        typer.echo(summary(client.cancel(job)))


@with_service
def retry(service: ServiceFlags, job: JobId, as_json: Json = False) -> None:
    """Send again the items of a final job that failed for a reason outside themselves: a new job."""
    with service.connect() as client:
        document = client.retry(job)
    typer.echo(msgspec.json.encode(document).decode() if as_json else summary(document))


@with_service
def jobs(
    service: ServiceFlags,
    state: Annotated[str | None, typer.Option(help="Only jobs in this state")] = None,
    database: Annotated[str | None, typer.Option(help="Only jobs of this database")] = None,
    page: Annotated[int, typer.Option(min=1, help="Which page")] = 1,
    page_size: Annotated[int, typer.Option(min=1, max=1000, help="How many jobs a page has")] = 20,
    as_json: Json = False,
) -> None:
    """List your jobs, newest first."""
    chosen = {"state": state, "database": database}
    wanted = {name: value for name, value in chosen.items() if value is not None}
    with service.connect() as client:
        documents = client.jobs(page=page, pageSize=page_size, **wanted)
    if as_json:
        typer.echo(msgspec.json.encode(documents).decode())
        return
    for document in documents:
        typer.echo(f"{document['submittedAt']}  {document['database']}  {summary(document)}")


def _all(client: CareCases, job: str) -> list[dict[str, Any]]:
    return [{"index": index, **item} for index, item in enumerate(client.result(job))]


def _not_applied(client: CareCases, job: str) -> list[dict[str, Any]]:
    found = [item for outcome in _NOT_APPLIED for item in client.result(job, outcome=outcome)]
    return sorted(found, key=lambda item: int(item["index"]))


def _cells(item: dict[str, Any]) -> tuple[Any, ...]:
    return item["index"], item["id"][0]["value"], item["status"], item["body"]


def _table(items: Sequence[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    table = Table("item", "case_Key", "status", "body", box=None)
    for item in items:
        table.add_row(*("" if cell is None else str(cell) for cell in _cells(item)))
    console.print(table)
    counts = Counter(f"{item['status']} {'' if item['status'] == 422 else item['body']}".strip() for item in items)
    console.print(", ".join(f"{count:,} × {what}" for what, count in counts.most_common()))
