"""The progress bars, and the counts at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from carecase_worker.client.blocking import CareCases
from carecase_worker.client.documents import Job

_POLL = timedelta(seconds=1)


class _Rate(TextColumn):
    """Cases a second so far."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        """The rate, in whole cases."""
        return Text(f"{task.completed / (task.elapsed or 1):,.0f} cases/s")


@contextmanager
def uploading(console: Console, size: int) -> Iterator[Any]:
    """A bar for an upload of `size` bytes; call what it gives with the size of each piece sent."""
    columns = (TextColumn("sending "), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("sending", total=size)
        yield lambda sent: progress.advance(task, sent)


def follow(client: CareCases, job: Job, console: Console) -> Job:
    """Show a job until it is final; the job as it is then."""
    columns = (
        TextColumn("{task.fields[state]:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]} failed"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("job", total=job.total, state=job.state, failed=job.failed)
        while not job.final:
            job = client.job(job, within=_POLL)
            progress.update(task, completed=job.processed, state=job.state, failed=job.failed)
    return job


def summary(job: Job) -> str:
    """The counts of a job in one line."""
    counts = (
        f"{job.created:,} created, {job.updated:,} updated, {job.superseded:,} superseded, "
        f"{job.failed:,} failed, {job.cancelled:,} cancelled"
    )
    return f"job {job.job_id} {job.state}: {job.processed:,} of {job.total:,} ({counts})"
