"""Sending for `carecase drop`: each file of a watched folder once, with its acknowledgement beside it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import repeat
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from carecase_worker.batches.line_numbers import LineRuns, lines_of_runs
from carecase_worker.cli.ending import shown
from carecase_worker.cli.sending.mappings import MAPPING_HELP, row_file
from carecase_worker.client.blocking import CareCases
from carecase_worker.client.documents import Job
from carecase_worker.client.files.folder import Folder
from carecase_worker.client.row_files import AnyMapping, RowFile, lines_of_items
from carecase_worker.client.uploads import PART_BYTES, PART_ITEMS, Batches
from carecase_worker.errors import BatchUnreadable, JobUnknown, RequestRefused, ServiceBusy, ServiceUnreachable
from carecase_worker.files import acknowledgement
from carecase_worker.files.acknowledgement import ItemRow
from carecase_worker.files.mapping import FileMapping

_PIECE_BYTES = 1 << 20
_REFUSED, _OPTIONS_REFUSED = 400, 422
_ANY_FILE = Path("any")
_STAYS_UNREADABLE = (PermissionError, IsADirectoryError)


class FileUnavailable(BatchUnreadable):
    """A file that cannot be read now, as on a network file system that does not respond."""


class Filed(Enum):
    """Destinations of a file after an attempt to send it."""

    DONE = "done"
    FAILED = "failed"
    LATER = "later"
    """The service, or the file system, did not answer: the file stays where it is, to be sent again."""


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
class DropMapping:
    """The mapping of all files, read once: a mistake in it is no fault of a file. `identity` differs if it differs."""

    mapping: AnyMapping | str | None
    identity: str

    @classmethod
    def of(cls, options: DropOptions) -> "DropMapping":
        """Read the mapping of the options. Raises BatchUnreadable."""
        named = row_file(_ANY_FILE, options.mapping, options.care_plan)
        is_local = named is not None and isinstance(named.mapping, FileMapping)
        identity = _digest(Path(options.mapping)) if is_local and options.mapping else options.mapping or ""
        return cls(None if named is None else named.mapping, identity)

    def rows_of(self, file: Path) -> RowFile | None:
        """Return a file of rows; None for JSON."""
        return row_file(file, None) if self.mapping is None else RowFile(file, self.mapping)


@dataclass(frozen=True, slots=True)
class Dropping:
    """The sender of the files of a folder."""

    client: CareCases
    folder: Folder
    options: DropOptions
    console: Console
    mapping: DropMapping

    def send(self, file: Path) -> Filed:
        """Send a file, wait for its result, and file it away.

        The Idempotency-Key is a digest, so that a repeated file becomes the same job. Raises CallerRefused, and other
        errors that the file did not cause: 422 for a whole batch is about the options, such as an unknown mapping.
        """
        digest, name = "", shown(file.name)
        try:
            digest = _digest(file)
            sent = self._sent(file, self._key(digest))
            jobs = [self.client.wait(job) for job in sent.jobs]
            is_done = all(job.applied for job in jobs)
            target = self.folder.file_away(file, digest, self._acknowledged(jobs, sent.lines), is_done)
        except (FileUnavailable, ServiceBusy, ServiceUnreachable, JobUnknown) as error:
            self.console.print(f"{name}: will be tried again. {shown(error)}", markup=False)
            return Filed.LATER
        except (BatchUnreadable, RequestRefused) as error:
            if error.status == _OPTIONS_REFUSED:
                raise
            text = str(error).removeprefix(f"{file}: ")
            body = text.removeprefix(f"{error.status}: ")
            refused = ItemRow(None, None, error.status or _REFUSED, body, "failed")
            acknowledged = (acknowledgement.header(True), acknowledgement.rows([refused], True))
            distinct = digest or f"{file.lstat().st_ino:x}"  # unreadable files of one name are distinct, too
            target = self.folder.file_away(file, distinct, acknowledged, False)
            self.console.print(f"{name}: refused. {shown(text)} It is now {shown(target)}", markup=False)
            return Filed.FAILED
        self._say(name, jobs, sent.is_repeated, target)
        return Filed.DONE if is_done else Filed.FAILED

    def _say(self, name: str, jobs: Sequence[Job], is_repeated: bool, target: Path) -> None:
        """Print what became of a file, and the ids of its jobs, for `carecase failed` and `carecase retry`."""
        total = sum(job.total for job in jobs)
        applied = total - sum(job.failed + job.cancelled for job in jobs)
        ids = f"job{'' if len(jobs) == 1 else 's'} {', '.join(job.job_id for job in jobs)}"
        before = " was sent before;" if is_repeated else ""
        message = f"{name}:{before} {applied:,} of {total:,} rows applied, by {ids}. It is now {shown(target)}"
        self.console.print(message, markup=False)

    def _key(self, digest: str) -> str:
        """Return the Idempotency-Key of a file by its digest, and by all else that decides what becomes of it."""
        decisive = (digest, self.options.care_plan, self.client.database, self.mapping.identity)
        return f"drop-{hashlib.sha256(repr(decisive).encode()).hexdigest()}"

    def _sent(self, file: Path, key: str) -> "_Sent":
        """Send a file, unchanged if the service converts it, or else in parts."""
        options = self.options
        rows = self.mapping.rows_of(file)
        if rows is not None and rows.is_sent_as_it_is:
            return _Sent([self.client.submit(rows, options.care_plan, key)])
        lines = () if rows is None else lines_of_items(rows)
        batches = Batches(PART_ITEMS, PART_BYTES)
        return _Sent(list(self.client.submit_in(batches, rows or file, options.care_plan, key)), lines)

    def _acknowledged(self, jobs: Sequence[Job], lines: LineRuns) -> Iterator[bytes]:
        """Yield the acknowledgement of jobs, with rows numbered through all jobs."""
        yield acknowledgement.header(True)
        here = lines_of_runs(lines, sum(job.total for job in jobs)) if lines else repeat(None)
        first = 0
        for job in jobs:
            for item, line in zip(self.client.results(job), here, strict=False):
                row = ItemRow(first + item.index, item.key, item.status, item.body, item.group, item.line or line)
                yield acknowledgement.rows([row], True)
            first += job.total


@dataclass(frozen=True, slots=True)
class _Sent:
    """The jobs of a file as they were accepted, and the lines of its rows if they were converted here."""

    jobs: Sequence[Job]
    lines: LineRuns = ()

    @property
    def is_repeated(self) -> bool:
        """True if the same file has been sent before, by this process or another one."""
        return any(job.final for job in self.jobs)


def _digest(file: Path) -> str:
    """Return the digest of a file's content. Raises BatchUnreadable; FileUnavailable if it may be readable later."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as content:
            while piece := content.read(_PIECE_BYTES):
                digest.update(piece)
    except _STAYS_UNREADABLE as error:
        raise BatchUnreadable(
            f"{file}: cannot be read ({error.strerror}). Let this process read it, and put it into the folder again."
        ) from None
    except OSError as error:
        raise FileUnavailable(f"{file}: cannot be read now ({error.strerror}). Check its file system.") from None
    return digest.hexdigest()
