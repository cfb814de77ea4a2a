"""The audit log's files: one chain for all intakes of a machine, appended under a lock, closed at a size.

DIRECTORY/audit.jsonl                 the current file
DIRECTORY/audit-000000004711.jsonl    closed; its last record is number 4711, and the chain continues in the next file
DIRECTORY/lock                        locked while a process appends
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO

from carecase_worker.audit.records import BEGINNING, Act, Head, Key, chained, mended, record_of
from carecase_worker.clock import Clock
from carecase_worker.errors import AuditUnavailable, SettingsError
from carecase_worker.settings.sections.access import AuditSettings
from carecase_worker.telemetry import logger

_log = logger("audit")
_CURRENT = "audit.jsonl"
_CLOSED = "audit-*.jsonl"
_LOCK = "lock"
_TAIL_BYTES = 64 << 10
"""More than the longest line: the subject is its longest part, and has a bound."""


@dataclass(slots=True)
class _File:
    """The current file, in the state in which this process last left it."""

    number: int
    identity: tuple[int, int]
    size: int


class AuditLog:
    """The audit log of this machine; it records nothing unless a directory is configured."""

    def __init__(self, settings: AuditSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._key = next((Key(name, secret) for name, secret in settings.by_id.items()), None)
        self._threads = Lock()
        self._lock = -1
        self._file: _File | None = None
        self._head = BEGINNING
        self._failures = 0

    def opened(self) -> "AuditLog":
        """Create the directory and find the chain's end. Raises SettingsError if the directory is not writable."""
        directory = self._settings.directory
        if directory is None:
            return self
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with self._turn(directory):
                pass
        except OSError as error:
            raise SettingsError(f"audit.directory: cannot be written to ({error.strerror})") from None
        return self

    def close(self) -> None:
        """Close the files."""
        self._forget()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def is_on(self) -> bool:
        """Return whether anything is recorded."""
        return self._settings.directory is not None

    def record(self, *acts: Act) -> None:
        """Append records; they are on disk on return, unless audit.durability is relaxed. Raises AuditUnavailable.

        Call this before the access itself, so that no access goes unrecorded. All records are appended or none.
        """
        directory = self._settings.directory
        if directory is None:
            return
        try:
            with ExitStack() as opened:
                with self._turn(directory) as file:
                    lines, head = [], self._head
                    for act in acts:
                        line, head = chained(head, self._clock.now(), act.members(), self._key)
                        lines.append(line)
                    _append(file, b"".join(lines))
                    self._head = head
                    written = os.dup(file.number)
                    opened.callback(os.close, written)
                    if file.size >= self._settings.max_file_bytes:
                        self._close_file(directory, file)
                if self._settings.durability == "fsync":
                    os.fdatasync(written)  # without the lock, so that concurrent callers wait in parallel
        except OSError as error:
            self._failures += len(acts)
            clients = ", ".join(sorted({act.client for act in acts}))
            _log.error("nothing can be recorded in audit.directory", reason=error.strerror, client=clients)
            raise AuditUnavailable("The audit log cannot be written to.") from None

    @property
    def records(self) -> int:
        """The number of the last record, as far as this process knows."""
        return self._head.number

    @property
    def failures(self) -> int:
        """The number of accesses that this process could not record."""
        return self._failures

    @contextmanager
    def _turn(self, directory: Path) -> Iterator[_File]:
        """Lock the log against other threads and processes; yield its current file, with the chain's end in `_head`."""
        with self._threads:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                yield self._current(directory)
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _current(self, directory: Path) -> _File:
        """Return the current file, opened anew if another process has appended to it, closed it or removed it."""
        path, known = directory / _CURRENT, self._file
        with suppress(FileNotFoundError):
            found = path.stat()
            if known and known.identity == (found.st_dev, found.st_ino) and known.size == found.st_size:
                return known
        self._forget()
        number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        found = os.fstat(number)
        file = self._file = _File(number, (found.st_dev, found.st_ino), found.st_size)
        try:
            if not file.size:
                _sync_directory(directory)  # a new file outlives a power failure only if its name does
            self._find_end(directory, file)
        except OSError:
            self._forget()  # the end was not found: the next record must not be appended without it
            raise
        return file

    def _find_end(self, directory: Path, file: _File) -> None:
        """Find the chain's end; complete or mend a line that a crash broke off.

        If the log ends at the number of this process's last record or before it, the chain continues from that record:
        then verification reports records that were removed or replaced.
        """
        tail = os.pread(file.number, _TAIL_BYTES, max(file.size - _TAIL_BYTES, 0))
        whole, newline, fragment = tail.rpartition(b"\n")
        if fragment and (last := record_of(fragment)):
            _append(file, b"\n")
            found, fragment = last.head, b""
        else:
            found = _last_head(whole + newline) or self._closed_head(directory)
        if found.number > self._head.number:
            self._head = found
        if fragment:
            line, head = chained(self._head, self._clock.now(), mended(fragment), self._key)
            _append(file, b"\n" + line)
            self._head = head

    def _closed_head(self, directory: Path) -> Head:
        """Return the chain's end in the closed files."""
        for path in reversed(_closed(directory)):
            with path.open("rb") as file:
                file.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
                if head := _last_head(file.read()):
                    return head
        return BEGINNING

    def _close_file(self, directory: Path, file: _File) -> None:
        """Rename the file after the number of its last record, and remove the oldest files beyond `keep_files`."""
        os.fsync(file.number)
        path, more = directory / f"audit-{self._head.number:012}.jsonl", 1
        while path.exists():  # the log was restored to an earlier state: the file closed since then is evidence
            path, more = directory / f"audit-{self._head.number:012}.{more}.jsonl", more + 1
        (directory / _CURRENT).rename(path)
        self._forget()
        for old in _closed(directory)[: -self._settings.keep_files]:
            old.unlink(missing_ok=True)

    def _forget(self) -> None:
        if self._file is not None:
            os.close(self._file.number)
            self._file = None


def opened_files(directory: Path, stack: ExitStack) -> list[tuple[str, IO[bytes], int]]:
    """Open all files of a log for reading; return name, file and present size of each, the oldest first.

    Raises OSError.
    """
    with ExitStack() as turn:
        with suppress(FileNotFoundError):  # a copy may be without it
            lock = turn.enter_context((directory / _LOCK).open("rb"))
            fcntl.flock(lock, fcntl.LOCK_SH)
        paths = [*_closed(directory), *(path for path in (directory / _CURRENT,) if path.exists())]
        files = [stack.enter_context(path.open("rb")) for path in paths]
        return [(path.name, file, os.fstat(file.fileno()).st_size) for path, file in zip(paths, files, strict=True)]


def _sync_directory(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _append(file: _File, line: bytes) -> None:
    """Append lines completely or not at all. Raises OSError."""
    written = 0
    try:
        written = os.write(file.number, line)
        if written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        if written:
            os.ftruncate(file.number, file.size)
        raise
    file.size += written


def _closed(directory: Path) -> list[Path]:
    """Return the closed files, the oldest first."""
    return sorted(
        directory.glob(_CLOSED), key=lambda path: (path.name[: len("audit-") + 12], len(path.name), path.name)
    )


def _last_head(text: bytes) -> Head | None:
    """Return the chain's end from the last record of a text; None if it has no record."""
    for line in reversed(text.split(b"\n")):
        if record := record_of(line):
            return record.head
    return None
