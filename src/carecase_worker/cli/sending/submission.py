"""Sending for `carecase submit`: a file unchanged as one batch; a pipe or a file that is too large, in parts."""

import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from carecase_worker.cli.ending import shown
from carecase_worker.cli.sending.mappings import MAPPING_HELP, row_file
from carecase_worker.cli.sending.progress import uploading
from carecase_worker.client.blocking import CareCases
from carecase_worker.client.documents import ItemResult, Job
from carecase_worker.client.files.sources import Readable, Source, opened
from carecase_worker.client.row_files import RowFile, lines_of_items
from carecase_worker.client.uploads import PART_BYTES, PART_ITEMS, Batches
from carecase_worker.clock import SystemClock, uuid7
from carecase_worker.errors import BatchUnreadable, ClientError, ServiceBusy, ServiceUnreachable

_STANDARD_INPUT = Path("-")
_WHOLE_BYTES = 1 << 30
_STRICT_BYTES = 16 << 20
_TOO_LARGE = 413
_SUFFIXES = {".gz": (b"\x1f\x8b", "gzip"), ".zst": (b"\x28\xb5", "zstd")}


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """The options of `carecase submit`."""

    care_plan: Annotated[int | None, typer.Option(help="The care plan of all cases")] = None
    database: Annotated[str | None, typer.Option(help="The target database (CARECASE_DATABASE)")] = None
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Stay until the job is final")] = True
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Only validate the cases; store and apply nothing")
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Apply and roll back: show the outcome that each case would have")
    ] = False
    strict: Annotated[
        bool, typer.Option("--strict", help="Apply all cases or none; only for one small batch (jobs.chunk_items)")
    ] = False
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="The same key gives the same job; several batches get keys derived from it"),
    ] = None
    mapping: Annotated[str | None, typer.Option(help=MAPPING_HELP)] = None


@dataclass
class Submission:
    """A submission in progress: the jobs accepted so far, and whether a response is outstanding.

    Sent again with the same `key`, the Idempotency-Key, it makes no second job.
    """

    client: CareCases
    file: Path
    options: SubmitOptions
    console: Console
    accepted: list[Job] = field(default_factory=list)
    awaits_answer: bool = False
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.options.idempotency_key or str(uuid7(SystemClock()))

    def send(self) -> Iterator[Job]:
        """Send everything; yield each job once it is accepted. Raises ClientError."""
        try:
            for job in self._jobs():
                self.awaits_answer = False
                self.accepted.append(job)
                yield job
        except ClientError as error:
            self.awaits_answer = self.awaits_answer and isinstance(error, ServiceUnreachable | ServiceBusy)
            raise

    def validate(self) -> Iterator[ItemResult]:
        """Validate everything; yield the service's result for each item. Raises ClientError."""
        if (rows := self._rows()) is not None:
            yield from self.client.validate(rows, self.options.care_plan)
            return
        with opened(source_of(self.file)) as (file, _), uploading(self.console, _size_of(self.file)) as sent:
            yield from self.client.validate(_Reading(file, sent), self.options.care_plan)

    @property
    def sent_as(self) -> str:
        """The file, and the mapping if there is one, as arguments of a command; empty for a pipe."""
        if not self.file.is_file():
            return ""
        mapping = self.options.mapping
        return shlex.join([str(self.file), *(("--mapping", mapping) if mapping else ())])

    def _rows(self) -> RowFile | None:
        """Return the file if it has rows; None if it is JSON. Raises BatchUnreadable."""
        return row_file(source_of(self.file), self.options.mapping, self.options.care_plan)

    def _jobs_of_rows(self, rows: RowFile) -> Iterator[Job]:
        """Send a file of rows: whole if the service converts it, in parts if it is converted here."""
        options = self.options
        is_file = self.file.is_file()
        if options.strict or (is_file and rows.is_sent_as_it_is):
            yield self._whole(rows if is_file else replace(rows, source=_read_whole(self.file)))
            return
        if is_file:
            lines_of_items(rows)  # a bad file is refused before any of it is sent
        batches = Batches(PART_ITEMS, PART_BYTES, self._expect_answer)
        yield from self.client.submit_in(batches, rows, options.care_plan, self.key, options.dry_run)

    def _jobs(self) -> Iterator[Job]:
        is_file = self.file.is_file()
        if (rows := self._rows()) is not None:
            yield from self._jobs_of_rows(rows)
            return
        if is_file:
            self._say_if_mislabelled()
        if self.options.strict:
            yield self._whole(self.file if is_file else _read_whole(self.file))
        elif is_file and self.file.stat().st_size <= _WHOLE_BYTES:
            try:
                yield self._whole(self.file)
            except ClientError as refusal:
                if refusal.status != _TOO_LARGE:
                    raise
                self.awaits_answer = False
                self.console.print("It is too large for one batch, so it is sent in several.")
                yield from self._parts()
        else:
            yield from self._parts()

    def _whole(self, source: Path | bytes | RowFile) -> Job:
        options, content = self.options, source.source if isinstance(source, RowFile) else source
        if isinstance(source, RowFile) and not source.is_sent_as_it_is:
            left = 0
        else:
            left = len(content) if isinstance(content, bytes) else self.file.stat().st_size
        with uploading(self.console, left or None) as advance:

            def sent(piece: int) -> None:
                nonlocal left
                left -= piece
                self.awaits_answer = left <= 0
                advance(piece)

            return self.client.submit(source, options.care_plan, self.key, sent, options.strict, options.dry_run)

    def _parts(self) -> Iterator[Job]:
        options = self.options
        with opened(source_of(self.file)) as (file, _), uploading(self.console, _size_of(self.file)) as sent:
            batches = Batches(PART_ITEMS, PART_BYTES, self._expect_answer)
            yield from self.client.submit_in(
                batches, _Reading(file, sent), options.care_plan, self.key, options.dry_run
            )

    def _expect_answer(self) -> None:
        self.awaits_answer = True

    def _say_if_mislabelled(self) -> None:
        magic, name = _SUFFIXES.get(self.file.suffix.lower(), (b"", ""))
        with opened(self.file) as (file, _):
            if not file.read(2).startswith(magic):
                notice = f"{shown(self.file)} is not {name}, despite its name; it is sent by its content."
                self.console.print(notice)


class _Reading:
    """A file that reports the size of each piece read."""

    def __init__(self, file: Readable, advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes."""
        piece = self._file.read(size)
        self._advance(len(piece))
        return piece


def command_of(file: Path, options: SubmitOptions) -> str:
    """Return the command that sends a file by the same options."""
    given = {"--mapping": options.mapping, "--care-plan": options.care_plan, "--database": options.database}
    flags = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    return shlex.join(["carecase", "submit", str(file), *flags, *(["--strict"] if options.strict else [])])


def source_of(file: Path) -> Source:
    """Return the source that an argument names: a file, or standard input for a hyphen."""
    return sys.stdin.buffer if file == _STANDARD_INPUT else file


def _size_of(file: Path) -> int | None:
    """Return the size of a file, or None for a pipe."""
    return file.stat().st_size if file.is_file() else None


def _read_whole(file: Path) -> bytes:
    """Read a pipe that must go as one batch. Raises BatchUnreadable if it is too long for that."""
    with opened(source_of(file)) as (pipe, _):
        content = pipe.read(_STRICT_BYTES + 1)
    if len(content) > _STRICT_BYTES:
        raise BatchUnreadable(f"--strict takes one batch, from a pipe {_STRICT_BYTES >> 20} MiB at most. Send less.")
    return content
