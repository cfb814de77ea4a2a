"""The file of an SQLite database: opened but never made, and watched, since one that was replaced still takes writes.

A file that is moved or deleted stays open in the processes that have opened it, and SQLite goes on writing into it. So
device and inode are compared whenever a connection is taken from the pool, and once more after each commit of cases. If
they differ, the commit went into a file that is gone, and is done again in the new one (decision 0023).

SQLite finds its log and its index by name alone. Beside a file that has replaced another they are still the old file's,
and would spoil the new one. So a note beside the file says which file they belong to. Every process that opens the file
reads and writes the note under a lock, and the first to open a new file removes the old one's log and index.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

from carecase_worker.clock import monotonic

_OPENED = "sqlite_file"
_SIDECARS = ("-wal", "-shm")
_NOTE = "-carecase"
_OPEN_LOG = ("PRAGMA journal_mode=WAL", "SELECT 1 FROM sqlite_schema LIMIT 1")
"""Statements after which SQLite has the log and its index beside the file."""
_STEPS = 10_000
"""Instructions of SQLite's virtual machine between two looks at the time: about a millisecond."""

Identity = tuple[int, int] | None
"""Device and inode of a file, by which the open one is told from another of its name; None if there is none."""


def path_of(url: URL) -> Path:
    """Return the absolute path of a database's file; settings allow no database in memory, and no URI."""
    return Path.cwd() / str(url.database)


def watch(engine: Engine) -> None:
    """Make the engine open its file without making it, and reconnect once another file has taken its place."""
    file = _WatchedFile(path_of(engine.url))
    event.listen(engine, "do_connect", file.connect)
    event.listen(engine, "checkout", file.check)
    event.listen(engine, "before_cursor_execute", _begin_statement)


def make_file(engine: Engine) -> None:
    """Make an empty file where there is none, for the migrations to fill; if that fails, connecting says why."""
    with suppress(OSError):
        path_of(engine.url).touch()


def stand_in(engine: Engine) -> Engine | None:
    """Return an engine of an empty database, in memory, if there is no file yet where `make_file` would make one."""
    path = path_of(engine.url)
    is_missing = not path.exists() and path.parent.is_dir()
    return create_engine("sqlite://") if is_missing else None


@dataclass
class _Opened:
    """A file as a connection has opened it, and how long a statement on that connection may take, in seconds."""

    path: Path
    identity: Identity
    limit_s: float | None = None
    until: float | None = None

    def is_replaced(self) -> bool:
        """Return whether another file, or none, is at its path by now."""
        return _identity(self.path) != self.identity

    def is_over(self) -> bool:
        """Return whether the statement's time is over; SQLite calls this now and then, and interrupts it if so."""
        return self.until is not None and monotonic() > self.until


class _WatchedFile:
    """The file of one engine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self, _: Any, record: Any, __: Sequence[Any], parameters: dict[str, Any]) -> sqlite3.Connection:
        """Open the file that is at the path. Raises sqlite3.Error if there is none, or it was replaced meanwhile."""
        opened = _Opened(self._path, _identity(self._path))
        with _own_sidecars(self._path.resolve(), opened.identity):
            connection: sqlite3.Connection = sqlite3.connect(
                f"file:{quote(str(self._path))}?mode=rw", **{**parameters, "uri": True}
            )
            try:
                for statement in _OPEN_LOG:
                    connection.execute(statement).fetchall()
            except sqlite3.Error:
                connection.close()
                raise
        if opened.is_replaced():
            connection.close()
            raise sqlite3.OperationalError("the file was replaced while it was opened")
        connection.set_progress_handler(opened.is_over, _STEPS)
        record.info[_OPENED] = opened
        return connection

    def check(self, connection: sqlite3.Connection, record: Any, _: Any) -> None:
        """Clear earlier limits. Raises DisconnectionError if the file was replaced; then the pool reconnects."""
        opened: _Opened = record.info[_OPENED]
        opened.limit_s = opened.until = None
        if not opened.is_replaced():
            return
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the old file, if somebody keeps it, is complete
        raise DisconnectionError("the database's file has been replaced")


def is_replaced(connection: Connection) -> bool:
    """Return whether another file, or none, is at the path of the one that this connection has open."""
    opened: _Opened = connection.info[_OPENED]
    return opened.is_replaced()


def limit_statements(connection: Connection, seconds: float) -> None:
    """Limit each further statement on a connection to so many seconds."""
    opened: _Opened = connection.info[_OPENED]
    opened.limit_s = seconds


def _begin_statement(connection: Connection, *_: Any) -> None:
    opened: _Opened = connection.info[_OPENED]
    opened.until = None if opened.limit_s is None else monotonic() + opened.limit_s


@contextmanager
def _own_sidecars(path: Path, identity: Identity) -> Iterator[None]:
    """Remove another file's log before the caller opens the file at `path`; then note which file the log is of."""
    try:
        note = os.open(f"{path}{_NOTE}", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # SQLite cannot write here either, and says so
        yield
        return
    try:
        fcntl.flock(note, fcntl.LOCK_EX)
        of, *sidecars = os.pread(note, 1024, 0).decode().split("\n") or [""]
        if of != str(identity):
            _remove_sidecars(path, sidecars)
        yield
        held = "\n".join(map(str, (identity, *_sidecars_of(path))))
        os.pwrite(note, held.ljust(1024).encode(), 0)
    finally:
        os.close(note)


def _remove_sidecars(path: Path, known: Sequence[str]) -> None:
    """Remove the log and the index, if they are still the noted ones."""
    for suffix, held, noted in zip(_SIDECARS, _sidecars_of(path), known, strict=False):
        if held is not None and str(held) == noted.strip():
            with suppress(OSError):
                Path(f"{path}{suffix}").unlink()


def _sidecars_of(path: Path) -> list[Identity]:
    return [_identity(Path(f"{path}{suffix}")) for suffix in _SIDECARS]


def _identity(path: Path) -> Identity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
