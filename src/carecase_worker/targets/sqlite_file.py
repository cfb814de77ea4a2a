"""The file of an SQLite database: opened but never made, and watched, since one that was replaced still takes writes.

A file that is moved or deleted stays open under the hands of whoever has opened it, and SQLite goes on writing into it.
So device and inode are compared whenever a connection is taken from the pool, and once more after each commit of cases:
whoever finds another file has committed into one that is gone, and does it again in the new one (decision 0023).
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import DisconnectionError

from carecase_worker.clock import stopwatch

_OPENED = "sqlite_file"
_SIDECARS = ("-wal", "-shm")
_STEPS = 10_000
"""Instructions of SQLite's virtual machine between two looks at the time: about a millisecond."""

Identity = tuple[int, int] | None
"""Device and inode of a file, by which the open one is told from another of its name; None if there is none."""


def path_of(url: URL) -> Path | None:
    """The absolute path of a database's file; None for one in memory, and for an URI, which settings do not allow."""
    name = url.database or ":memory:"
    return None if name == ":memory:" or "uri" in url.query else Path.cwd() / name


def watch(engine: Engine) -> None:
    """Have the engine open its file without making it, and open it anew once there is another one in its place."""
    path = path_of(engine.url)
    if path is not None:
        file = _WatchedFile(path)
        event.listen(engine, "do_connect", file.connect)
        event.listen(engine, "checkout", file.check)
        event.listen(engine, "before_cursor_execute", _begin_statement)


def make_file(engine: Engine) -> None:
    """Make an empty file where there is none, for the migrations to fill; if that fails, connecting tells why."""
    path = path_of(engine.url) if engine.dialect.name == "sqlite" else None
    if path is not None:
        with suppress(OSError):
            path.touch()


def lacks_file(engine: Engine) -> bool:
    """Tell whether there is no SQLite file yet where `make_file` would make one."""
    path = path_of(engine.url) if engine.dialect.name == "sqlite" else None
    return path is not None and not path.exists() and path.parent.is_dir()


@dataclass
class _Opened:
    """A file as a connection has opened it, and how long a statement on that connection may take, in seconds."""

    path: Path
    real_path: Path
    identity: Identity
    sidecars: tuple[Identity, ...] = (None, None)
    limit_s: float | None = None
    until: float | None = None

    def is_replaced(self) -> bool:
        """Compare the file with the one that lies there. Keep which files SQLite has beside it, once it has them."""
        if _identity(self.path) != self.identity:
            return True
        if None in self.sidecars:
            self.sidecars = tuple(_identity(self.sidecar(suffix)) for suffix in _SIDECARS)
        return False

    def sidecar(self, suffix: str) -> Path:
        return Path(f"{self.real_path}{suffix}")

    def remove_sidecars(self) -> None:
        """Remove them if they still lie there: SQLite would read the old log into the new file."""
        for suffix, kept in zip(_SIDECARS, self.sidecars, strict=True):
            if kept is not None and _identity(self.sidecar(suffix)) == kept:
                with suppress(OSError):
                    self.sidecar(suffix).unlink()

    def is_over(self) -> bool:
        """Tell whether the statement's time is over; SQLite asks now and then, and interrupts it then."""
        return self.until is not None and stopwatch() > self.until


class _WatchedFile:
    """The file of one engine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self, _: Any, record: Any, __: Sequence[Any], parameters: dict[str, Any]) -> sqlite3.Connection:
        """Open the file as it lies there. Raises sqlite3.Error if there is none, or another one by now."""
        opened = _Opened(self._path, self._path.resolve(), _identity(self._path))
        connection: sqlite3.Connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=rw", **{**parameters, "uri": True}
        )
        if opened.is_replaced():
            connection.close()
            raise sqlite3.OperationalError("the file was replaced while it was opened")
        connection.set_progress_handler(opened.is_over, _STEPS)
        record.info[_OPENED] = opened
        return connection

    def check(self, connection: sqlite3.Connection, record: Any, _: Any) -> None:
        """Forget earlier limits. Raise DisconnectionError if the file was replaced: then the pool connects anew."""
        opened: _Opened = record.info[_OPENED]
        opened.limit_s = opened.until = None
        if not opened.is_replaced():
            return
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # whoever keeps the old file has all of it
        opened.remove_sidecars()
        raise DisconnectionError("the database's file has been replaced")


def is_replaced(connection: Connection) -> bool:
    """Tell whether another file, or none, lies where the one was that this connection has open."""
    opened: _Opened | None = connection.info.get(_OPENED)
    return opened is not None and opened.is_replaced()


def limit_sqlite(connection: Connection, seconds: float) -> None:
    """Have each further statement on a connection interrupted after so many seconds."""
    opened: _Opened | None = connection.info.get(_OPENED)
    if opened is not None:
        opened.limit_s = seconds


def has_lost_transaction(connection: Connection) -> bool:
    """Tell whether SQLite has taken back the whole transaction, as it does after an interrupt or `RAISE(ROLLBACK)`."""
    return not connection.invalidated and not getattr(connection.connection.dbapi_connection, "in_transaction", True)


def _begin_statement(connection: Connection, *_: Any) -> None:
    opened: _Opened = connection.info[_OPENED]
    opened.until = None if opened.limit_s is None else stopwatch() + opened.limit_s


def _identity(path: Path) -> Identity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
