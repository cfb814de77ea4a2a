"""Commands for jobs: status, events, result, cancel, retry, jobs, jobs purge."""

import csv
import sys
from collections import Counter
from enum import Enum
from itertools import chain, islice
from typing import Annotated, assert_never

import msgspec
import typer

from carecase_worker.cli.connection import Json, ServiceFlags, with_service
from carecase_worker.cli.ending import STATUS_INTERRUPTED, STATUS_SOME_FAILED, shown, standard_error
from carecase_worker.cli.sending.progress import advise, advise_of_open, follow_one, print_job, summary
from carecase_worker.cli.sending.tables import cells_of, columns_of, print_items
from carecase_worker.client.blocking import CareCases
from carecase_worker.client.documents import Group, ItemResult
from carecase_worker.client.events import JobEvent

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id")]
_NOT_APPLIED: tuple[Group, ...] = ("failed", "cancelled")


class Format(Enum):
    """Formats of a result."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def add_commands(app: typer.Typer) -> None:
    """Add the commands for jobs."""
    app.command()(status)
    app.command()(events)
    app.command()(result)
    app.command()(cancel)
    app.command()(retry)
    listed = typer.Typer(invoke_without_command=True)
    listed.callback()(jobs)
    listed.command()(purge)
    app.add_typer(listed, name="jobs")


@with_service
def status(
    service: ServiceFlags,
    job: JobId,
    watch: Annotated[bool, typer.Option("--watch", help="Wait until the job is final")] = False,
    as_json: Json = False,
) -> None:
    """Show the state of a job. With --watch, exit status 0 if all items were applied, 1 if some failed."""
    console = standard_error()
    with service.connect() as client:
        fetched = client.job(job)
        if watch:
            fetched = follow_one(client, fetched, console)
    print_job(fetched, as_json)
    advise([fetched], console)
    raise typer.Exit(STATUS_SOME_FAILED if watch and not fetched.applied else 0)


@with_service
def events(
    service: ServiceFlags,
    job: JobId,
    outcomes: Annotated[bool, typer.Option(help="Also show the outcomes of items as they are committed")] = True,
    as_json: Json = False,
) -> None:
    """Show the events of a job until it is final. Exit status 0 if all items were applied, 1 if some failed.

    With --json, prints one line for each event.
    """
    with service.connect() as client:
        try:
            final = client.follow(job, _print_json if as_json else _print_event, outcomes)
        except KeyboardInterrupt:
            advise_of_open(job, standard_error())
            raise typer.Exit(STATUS_INTERRUPTED) from None
    raise typer.Exit(0 if final.applied else STATUS_SOME_FAILED)


def _print_json(event: JobEvent) -> None:
    members = {"runs": event.runs} if event.job is None else {"job": event.job}
    typer.echo(msgspec.json.encode({"event": event.name, **members}).decode())


def _print_event(event: JobEvent) -> None:
    if event.job is not None:
        typer.echo(summary(event.job))
    for run in event.runs:
        items = f"item {run.index:,}" if run.count == 1 else f"items {run.index:,} to {run.index + run.count - 1:,}"
        text = f"{run.body}{': ' if run.changes else ''}{', '.join(run.changes or ())}"
        typer.echo(f"{items}: {run.status} {shown(text)}")


@with_service
def result(
    service: ServiceFlags,
    job: JobId,
    failed: Annotated[bool, typer.Option("--failed", help="Only items that were not applied")] = False,
    form: Annotated[Format, typer.Option("--format", help="Output format")] = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Show the result of each item of a final job."""
    with service.connect() as client:
        items = _not_applied(client, job) if failed else list(client.results(job, page_size=None))
    match Format.JSON if as_json else form:
        case Format.JSON:
            typer.echo(msgspec.json.encode([item.document() for item in items]).decode())
        case Format.CSV:
            writer = csv.writer(sys.stdout)
            columns = columns_of(items)
            writer.writerow(columns)
            writer.writerows(cells_of(item, columns) for item in items)
        case Format.TABLE:
            print_items(items)
            counts = Counter(f"{item.status} {'' if item.status == 422 else item.body}".strip() for item in items)
            typer.echo(", ".join(f"{count:,} × {shown(what)}" for what, count in counts.most_common()))
        case never:
            assert_never(never)


@with_service
def cancel(service: ServiceFlags, job: JobId, as_json: Json = False) -> None:
    """Cancel the items of a job that have not been applied."""
    with service.connect() as client:
        print_job(client.cancel(job), as_json)


@with_service
def retry(service: ServiceFlags, job: JobId, as_json: Json = False) -> None:
    """Retry the items of a final job that failed for a reason other than their content, as a new job."""
    with service.connect() as client:
        retried = client.retry(job)
    print_job(retried, as_json)
    advise([retried], standard_error())


@with_service
def jobs(
    service: ServiceFlags,
    state: Annotated[str | None, typer.Option(help="Only jobs in this state")] = None,
    database: Annotated[str | None, typer.Option(help="Only jobs of this database")] = None,
    page: Annotated[int, typer.Option(min=1, help="Which page")] = 1,
    page_size: Annotated[int, typer.Option(min=1, max=1000, help="Number of jobs per page")] = 20,
    as_json: Json = False,
) -> None:
    """List your jobs, newest first; or purge one."""
    with service.connect() as client:
        listed = list(islice(client.jobs(state, database, page, page_size), page_size))
    if as_json:
        typer.echo(msgspec.json.encode(listed).decode())
        return
    for job in listed:
        moment = job.submitted_at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if job.submitted_at else ""
        typer.echo(f"{moment}  {shown(job.database)}  {summary(job)}")


@with_service
def purge(service: ServiceFlags, job: JobId) -> None:
    """Remove payload and result of a final job before they expire."""
    with service.connect() as client:
        client.purge(job)
    typer.echo(f"{job} is purged: its payload and result are removed.")


def _not_applied(client: CareCases, job: str) -> list[ItemResult]:
    found = chain.from_iterable(client.results(job, outcome, page_size=None) for outcome in _NOT_APPLIED)
    return sorted(found, key=lambda item: item.index)
