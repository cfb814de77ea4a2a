"""Meanings of the errors that SQLite raises, by the names of its result codes."""

import sqlite3
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError

from carecase_worker.errors import FailureKind
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.dialects.failures import ITEM_FAULTS, Errors, Meaning

LOWEST = (3, 35, 0)
"""The first version with RETURNING."""

_SQLITE_NAMES: Mapping[str, Meaning] = {
    "SQLITE_AUTH": (FailureKind.AWAY, Causes.NO_FILE),
    "SQLITE_BUSY": (FailureKind.CONTENTION, Causes.TIMEOUT),
    "SQLITE_CANTOPEN": (FailureKind.AWAY, Causes.NO_FILE),
    "SQLITE_CONSTRAINT": (FailureKind.CONFLICT, None),
    "SQLITE_CONSTRAINT_TRIGGER": (FailureKind.REFUSED, None),  # RAISE: for a reason of the trigger's own
    "SQLITE_CORRUPT": (FailureKind.AWAY, Causes.DAMAGED),
    "SQLITE_ERROR": (FailureKind.AWAY, Causes.SCHEMA),  # what it says of a table or column that is not there
    "SQLITE_FULL": (FailureKind.AWAY, Causes.DISK_FULL),
    "SQLITE_INTERRUPT": (FailureKind.TOO_SLOW, Causes.TIMEOUT),  # by us, when a statement's time is over
    "SQLITE_IOERR": (FailureKind.AWAY, Causes.FAULT),
    "SQLITE_LOCKED": (FailureKind.CONTENTION, Causes.TIMEOUT),
    "SQLITE_MISMATCH": (FailureKind.REFUSED, None),
    "SQLITE_NOMEM": (FailureKind.AWAY, Causes.RESOURCES),
    "SQLITE_NOTADB": (FailureKind.AWAY, Causes.DAMAGED),
    "SQLITE_PERM": (FailureKind.AWAY, Causes.NO_FILE),
    "SQLITE_READONLY": (FailureKind.AWAY, Causes.READ_ONLY),
    "SQLITE_SCHEMA": (FailureKind.AWAY, Causes.SCHEMA),
    "SQLITE_TOOBIG": (FailureKind.REFUSED, None),
}
"""Meanings by the longest known prefix of an extended result code's name. Any other is the database's fault."""
_ANY_OTHER: Meaning = (FailureKind.AWAY, Causes.UNKNOWN)
_NAMELESS = "unknown"


class SqliteRefused(sqlite3.OperationalError):
    """A connection to SQLite that was made but does not fit this service."""

    def __init__(self, cause: Causes) -> None:
        super().__init__(cause.value.text)
        self.cause = cause


def _code_of(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", None) or ""
    return _primary_name(error.sqlite_errorcode) if name == _NAMELESS else name


def _primary_name(code: int) -> str:
    """Return the name of an extended result code's primary code; Python lacks some extended names."""
    primary = code & 0xFF
    return next((name for name in _SQLITE_NAMES if getattr(sqlite3, name, None) == primary), _NAMELESS)


def _special(error: sqlite3.Error) -> Meaning | None:
    return (FailureKind.AWAY, error.cause) if isinstance(error, SqliteRefused) else None


def _may_blame_an_item(error: DBAPIError, kind: FailureKind) -> bool:
    return kind in ITEM_FAULTS or (isinstance(error.orig, sqlite3.Error) and _code_of(error.orig) == "SQLITE_ERROR")


ERRORS = Errors(
    lowest=f"SQLite {LOWEST[0]}.{LOWEST[1]}",
    raised=sqlite3.Error,
    code_of_raised=_code_of,
    meanings=_SQLITE_NAMES,
    any_other=_ANY_OTHER,
    special=_special,
    may_blame_an_item=_may_blame_an_item,
)
