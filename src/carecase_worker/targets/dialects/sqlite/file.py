"""The file of an SQLite database: opened but never created, and watched, since a replaced file still accepts writes.

A file that is moved or deleted stays open in processes that have opened it, and SQLite keeps writing to it. So device
and inode are compared at each checkout from the pool, and again after each commit of cases. If they differ, the commit
went to the old file, and is repeated in the new one (decision 0023).

SQLite finds its WAL and shared-memory index by name only. After a file was replaced, they are still those of the old
file, and would corrupt the new one. So a note beside the file says which file they belong to. Every process that opens
the file reads and writes the note under a lock, and the first to open a new file removes the old WAL and index.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

from carecase_worker.clock import monotonic

_OPENED = "sqlite_file"
_SIDECARS = ("-wal", "-shm")
_NOTE = "-carecase"
_REPLACED = "the file was replaced while it was opened"
_OPEN_LOG = ("PRAGMA journal_mode=WAL", "SELECT 1 FROM sqlite_schema LIMIT 1")
"""Statements after which SQLite has the log and its index beside the file."""
_STEPS = 10_000
"""Instructions of SQLite's virtual machine between two checks of the time: about a millisecond."""

Identity = tuple[int, int] | None
"""Device and inode of a file, which distinguish it from another one of the same name; None if there is none."""


def path_of(url: URL) -> Path:
    """Return the absolute path of a database's file; the settings allow neither in-memory databases nor URIs."""
    return Path.cwd() / str(url.database)


def watch(engine: Engine) -> None:
    """Make the engine open its file without creating it, and reconnect after the file was replaced."""
    file = _WatchedFile(path_of(engine.url))
    event.listen(engine, "do_connect", file.connect)
    event.listen(engine, "checkout", file.check)
    event.listen(engine, "before_cursor_execute", _begin_statement)


def make_file(engine: Engine) -> None:
    """Create an empty file if there is none, for the migrations; if that fails, connecting reports why."""
    with suppress(OSError):
        path_of(engine.url).touch()


def stand_in(engine: Engine) -> Engine | None:
    """Return an engine of an empty in-memory database, if `make_file` would create the file; else None."""
    path = path_of(engine.url)
    is_missing = not path.exists() and path.parent.is_dir()
    return create_engine("sqlite://") if is_missing else None


@dataclass
class _Opened:
    """A file opened by a connection, and the time limit of statements on that connection in seconds."""

    path: Path
    identity: Identity
    limit_s: float | None = None
    until: float | None = None

    def is_replaced(self) -> bool:
        """Return whether its path now has another file, or none."""
        return _identity(self.path) != self.identity

    def is_over(self) -> bool:
        """Return whether the statement has timed out; SQLite calls this periodically, and then interrupts it."""
        return self.until is not None and monotonic() > self.until


class _WatchedFile:
    """The file of one engine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self, _: Any, record: Any, __: Sequence[Any], parameters: dict[str, Any]) -> sqlite3.Connection:
        """Open the file at the path. Raises sqlite3.Error if there is none, or it was replaced meanwhile."""
        opened = _Opened(self._path, _identity(self._path))
        if opened.identity is None:
            self._raise_missing()
        with _own_sidecars(self._path.resolve(), opened.identity):
            connection: sqlite3.Connection = sqlite3.connect(self._uri("mode=rw"), **{**parameters, "uri": True})
            try:
                for statement in _OPEN_LOG:
                    connection.execute(statement).fetchall()
            except sqlite3.Error:
                connection.close()
                raise
        if opened.is_replaced():
            connection.close()
            raise sqlite3.OperationalError(_REPLACED)
        connection.set_progress_handler(opened.is_over, _STEPS)
        record.info[_OPENED] = opened
        return connection

    def _raise_missing(self) -> NoReturn:
        """Raise SQLite's own error. The log stays: the file may come back, and others may have both open.

        A file that has just come is opened without its log, and so not changed.
        """
        sqlite3.connect(self._uri("mode=ro&immutable=1"), uri=True).close()
        raise sqlite3.OperationalError(_REPLACED)

    def _uri(self, parameters: str) -> str:
        return f"file:{quote(str(self._path))}?{parameters}"

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
    """Return whether the path of this connection's file now has another file, or none."""
    opened: _Opened = connection.info[_OPENED]
    return opened.is_replaced()


def limit_statements(connection: Connection, seconds: float) -> None:
    """Limit each further statement on a connection, in seconds."""
    opened: _Opened = connection.info[_OPENED]
    opened.limit_s = seconds


def _begin_statement(connection: Connection, *_: Any) -> None:
    opened: _Opened = connection.info[_OPENED]
    opened.until = None if opened.limit_s is None else monotonic() + opened.limit_s


@contextmanager
def _own_sidecars(path: Path, identity: Identity) -> Iterator[None]:
    """Remove another file's WAL before the caller opens the file at `path`; then record whose WAL it is."""
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
        content = "\n".join(map(str, (identity, *_sidecars_of(path))))
        os.pwrite(note, content.ljust(1024).encode(), 0)
    finally:
        os.close(note)


def _remove_sidecars(path: Path, known: Sequence[str]) -> None:
    """Remove the log and the index, if they are still the noted ones."""
    for suffix, found, noted in zip(_SIDECARS, _sidecars_of(path), known, strict=False):
        if found is not None and str(found) == noted.strip():
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
