"""Progress bars on a terminal, and the final counts and advice."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from carecase_worker.cli.ending import STATUS_INTERRUPTED
from carecase_worker.client.blocking import CareCases
from carecase_worker.client.documents import Job

_POLL = timedelta(seconds=1)
_MOST_NAMED = 5


class _Rate(TextColumn):
    """Cases a second so far."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        """Return the rate, in whole cases a second."""
        return Text(f"{task.completed / (task.elapsed or 1):,.0f} cases/s")


@contextmanager
def uploading(console: Console, size: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar for an upload of `size` bytes; yield a function to call with the size of each piece sent."""
    columns = (TextColumn("sending "), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("sending", total=size)
        yield lambda sent: progress.advance(task, sent)


def follow(client: CareCases, jobs: Sequence[Job], console: Console) -> list[Job]:
    """Show the progress of jobs until all are final; return the final jobs."""
    columns = (
        TextColumn("{task.fields[state]:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]} failed"),
    )
    latest = list(jobs)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("jobs", total=sum(job.total for job in latest), state="", failed=0)

        def show(job: Job) -> None:
            processed, failed = sum(one.processed for one in latest), sum(one.failed for one in latest)
            progress.update(task, completed=processed, state=job.state, failed=failed)

        for place, job in enumerate(latest):
            show(job)
            while not latest[place].final:
                latest[place] = client.job(job, within=_POLL)
                show(latest[place])
    return latest


def follow_one(client: CareCases, job: Job, console: Console) -> Job:
    """Show the progress of a job until it is final; return the final job. Ctrl-C ends the program with advice."""
    try:
        (final,) = follow(client, [job], console)
    except KeyboardInterrupt:
        advise([job], console)
        raise typer.Exit(STATUS_INTERRUPTED) from None
    return final


def print_job(job: Job, as_json: bool) -> None:
    """Print a job's document, or its summary."""
    typer.echo(msgspec.json.encode(job).decode() if as_json else summary(job))


def summary(job: Job) -> str:
    """Return the counts of a job in one line; those of a dry run are what would happen."""
    saw = "" if job.saw_sequence is None else f"; it saw all batches up to sequence {job.saw_sequence}"
    return f"{'dry run' if job.dry_run else 'job'} {job.job_id} {job.state}: {_counts([job])}{saw}"


def summary_of_all(jobs: Sequence[Job]) -> str:
    """Return the counts of several jobs in one line."""
    return f"{len(jobs)} {'dry runs' if jobs[0].dry_run else 'jobs'}: {_counts(jobs)}"


def _counts(jobs: Sequence[Job]) -> str:
    names = ("created", "updated", "superseded", "failed", "cancelled")
    counts = ", ".join(f"{sum(getattr(job, name) for job in jobs):,} {name}" for name in names)
    counts = f"would be: {counts}" if jobs[0].dry_run else counts
    return f"{sum(job.processed for job in jobs):,} of {sum(job.total for job in jobs):,} ({counts})"


def offer_dry_run(console: Console, command: str) -> None:
    """Print the command for a dry run, after a check that does not know the database."""
    console.print(f"To see what the database would say, and what would change: {command} --dry-run", markup=False)


def advise_of_open(job_id: str, console: Console) -> None:
    """Print that a job continues, and the command that watches it."""
    console.print(f"It continues by itself. To watch it: carecase status {job_id} --watch", markup=False)


def advise(jobs: Sequence[Job], console: Console, sent_as: str = "") -> None:
    """Print the next commands if a job is not final or items failed; `sent_as` is the file that was sent."""
    open_jobs = [job for job in jobs if not job.final]
    not_applied = [job for job in jobs if job.final and not job.applied]
    for job in open_jobs[:_MOST_NAMED]:
        advise_of_open(job.job_id, console)
    for job in not_applied[:_MOST_NAMED]:
        count = job.failed + job.cancelled
        applied = "would not be applied" if job.dry_run else "not applied"
        console.print(
            f"{count:,} {applied}. To see which, and why: carecase result {job.job_id} --failed", markup=False
        )
        if sent_as:
            console.print(f"To correct those items in a new file: carecase failed {job.job_id} {sent_as}", markup=False)
        if not job.dry_run:
            again = f"To retry those with 500, 503 or Cancelled: carecase retry {job.job_id}"
            console.print(again, markup=False)
    if max(len(open_jobs), len(not_applied)) > _MOST_NAMED:
        console.print("For the other jobs, see: carecase jobs", markup=False)
