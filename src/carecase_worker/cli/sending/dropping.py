"""Sending for `carecase drop`: each file of a watched folder once, with its acknowledgement beside it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from carecase_worker.cli.ending import shown
from carecase_worker.cli.sending.mappings import MAPPING_HELP, row_file
from carecase_worker.client.blocking import CareCases
from carecase_worker.client.documents import Job
from carecase_worker.client.files.folder import Folder
from carecase_worker.client.row_files import require_good
from carecase_worker.client.uploads import PART_BYTES, PART_ITEMS, Batches
from carecase_worker.errors import BatchUnreadable, JobUnknown, RequestRefused, ServiceBusy, ServiceUnreachable
from carecase_worker.files import acknowledgement
from carecase_worker.files.acknowledgement import Told

_PIECE_BYTES = 1 << 20
_REFUSED = 400
_UNREAD = "unread"
"""Placeholder for the digest of an unreadable file."""


class Filed(Enum):
    """Destinations of a file after an attempt to send it."""

    DONE = "done"
    FAILED = "failed"
    LATER = "later"
    """The service did not answer: the file stays where it is, to be sent again."""


@dataclass(frozen=True, slots=True)
class DropOptions:
    """The options of `carecase drop`."""

    mapping: Annotated[str | None, typer.Option(help=MAPPING_HELP)] = None
    care_plan: Annotated[int | None, typer.Option(help="The care plan of all cases")] = None
    database: Annotated[str | None, typer.Option(help="The target database (CARECASE_DATABASE)")] = None
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds for which a file must not change before it is complete")
    ] = 10
    once: Annotated[bool, typer.Option("--once", help="Exit when all complete files have been sent")] = False


@dataclass(frozen=True, slots=True)
class Dropping:
    """The sender of the files of a folder."""

    client: CareCases
    folder: Folder
    options: DropOptions
    console: Console

    def send(self, file: Path) -> Filed:
        """Send a file, wait for its result, and file it away.

        The Idempotency-Key is the content's digest, so that a repeated file becomes the same job. Raises CallerRefused,
        and other errors that the file did not cause.
        """
        digest, name = _UNREAD, shown(file.name)
        try:
            digest = _digest(file)
            jobs = [self.client.wait(job) for job in self._sent(file, f"drop-{digest}")]
            is_done = all(job.applied for job in jobs)
            target = self.folder.file_away(file, digest, self._told(jobs), is_done)
        except (ServiceBusy, ServiceUnreachable, JobUnknown) as error:
            self.console.print(f"{name}: will be tried again. {shown(error)}", markup=False)
            return Filed.LATER
        except (BatchUnreadable, RequestRefused) as error:
            text = str(error).removeprefix(f"{file}: ")
            refused = Told(None, None, error.status or _REFUSED, text, "failed")
            told = (acknowledgement.header(True), acknowledgement.rows([refused], True))
            target = self.folder.file_away(file, digest, told, False)
            self.console.print(f"{name}: refused. {shown(text)} It is now {shown(target)}", markup=False)
            return Filed.FAILED
        total = sum(job.total for job in jobs)
        applied = total - sum(job.failed + job.cancelled for job in jobs)
        where = shown(target)
        self.console.print(f"{name}: {applied:,} of {total:,} rows applied. It is now {where}", markup=False)
        return Filed.DONE if is_done else Filed.FAILED

    def _sent(self, file: Path, key: str) -> Sequence[Job]:
        """Send a file, unchanged if the service converts it, or else in parts; return its jobs."""
        options = self.options
        rows = row_file(file, options.mapping, options.care_plan)
        if rows is not None and rows.is_sent_as_it_is:
            return [self.client.submit(rows, options.care_plan, key)]
        if rows is not None:
            require_good(rows)
        batches = Batches(PART_ITEMS, PART_BYTES)
        return list(self.client.submit_in(batches, rows or file, options.care_plan, key))

    def _told(self, jobs: Sequence[Job]) -> Iterator[bytes]:
        """Yield the acknowledgement of jobs, with rows numbered through all jobs."""
        yield acknowledgement.header(True)
        first = 0
        for job in jobs:
            for item in self.client.results(job):
                told = Told(first + item.index, item.key, item.status, item.body, item.group, item.line)
                yield acknowledgement.rows([told], True)
            first += job.total


def _digest(file: Path) -> str:
    """Return the digest of a file's content. Raises BatchUnreadable."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as content:
            while piece := content.read(_PIECE_BYTES):
                digest.update(piece)
    except OSError as error:
        raise BatchUnreadable(f"{file}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()
