"""The progress bars, and the counts at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from carecase_worker.client.api import CareCases

_FINAL = ("completed", "cancelled")
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


def follow(client: CareCases, job: dict[str, Any], console: Console) -> dict[str, Any]:
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
        task = progress.add_task("job", total=job["total"], state=job["state"], failed=job["failed"])
        while job["state"] not in _FINAL:
            job = client.job(job["jobId"], wait=_POLL)
            progress.update(task, completed=job["processed"], state=job["state"], failed=job["failed"])
    return job


def summary(job: dict[str, Any]) -> str:
    """The counts of a job in one line."""
    counts = ", ".join(f"{job[name]:,} {name}" for name in ("created", "updated", "superseded", "failed", "cancelled"))
    return f"job {job['jobId']} {job['state']}: {job['processed']:,} of {job['total']:,} ({counts})"
