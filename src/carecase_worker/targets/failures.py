"""One table: what a driver's error means. No other code reads error codes."""

import sqlite3
from collections.abc import Mapping
from typing import TypeVar

from psycopg import Error as PostgresError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from carecase_worker.errors import FailureKind

_Meaning = TypeVar("_Meaning")

ITEM_FAULTS = (FailureKind.CONFLICT, FailureKind.REFUSED)
"""Kinds of failure that are an item's doing, by its code alone."""

# SQLSTATE by its longest known beginning; PostgreSQL, appendix A. What is not here is taken for an item's doing. A
# trigger may raise any of them over a single item: `answered` tells whether that can be.
_SQLSTATES = {
    "": FailureKind.AWAY,  # the connection broke before the server said anything
    "08": FailureKind.AWAY,  # connection exception
    "25": FailureKind.AWAY,  # invalid transaction state: read-only, in a failed transaction
    "28": FailureKind.AWAY,  # invalid authorisation
    "3D": FailureKind.AWAY,  # no such database
    "3F": FailureKind.AWAY,  # no such schema
    "42": FailureKind.AWAY,  # no such table or column, no privilege: the schema is not ready
    "53": FailureKind.AWAY,  # insufficient resources
    "55": FailureKind.AWAY,  # object not in prerequisite state
    "57": FailureKind.AWAY,  # operator intervention
    "58": FailureKind.AWAY,  # system error
    "XX": FailureKind.AWAY,  # internal error
    "40": FailureKind.CONTENTION,  # deadlock, serialisation failure
    "55P03": FailureKind.TOO_SLOW,  # lock_timeout
    "57014": FailureKind.TOO_SLOW,  # statement_timeout
    "23": FailureKind.CONFLICT,  # integrity constraint violation
    "44": FailureKind.CONFLICT,  # with check option
}

_ROW_SECURITY = ("42501", "ExecWithCheckOptions")
"""SQLSTATE and place in PostgreSQL's source of a row that a policy refuses; without privileges it is another place."""
_EXHAUSTED = ("53", "58")
"""Resources and devices; a database may lack them for some items and have them for others."""

# SQLite, extended result codes by their longest known beginning; what is not here is taken for the database's
_SQLITE_NAMES = {
    "SQLITE_CONSTRAINT": FailureKind.CONFLICT,
    "SQLITE_CONSTRAINT_TRIGGER": FailureKind.REFUSED,  # RAISE: for a reason of the trigger's own
    "SQLITE_INTERRUPT": FailureKind.TOO_SLOW,  # by us, when a statement's time is over
    "SQLITE_BUSY": FailureKind.CONTENTION,
    "SQLITE_LOCKED": FailureKind.CONTENTION,
    "SQLITE_TOOBIG": FailureKind.REFUSED,
    "SQLITE_MISMATCH": FailureKind.REFUSED,
}


def kind_of(error: SQLAlchemyError) -> FailureKind:
    """What an error of the database means."""
    match error:
        case DBAPIError(orig=PostgresError() as original):
            if (original.sqlstate, original.diag.source_function) == _ROW_SECURITY:
                return FailureKind.REFUSED
            return longest(_SQLSTATES, original.sqlstate or "", FailureKind.REFUSED)
        case DBAPIError(orig=sqlite3.Error()):
            return longest(_SQLITE_NAMES, code_of(error), FailureKind.AWAY)
        case _:
            return FailureKind.AWAY


def answered(error: SQLAlchemyError) -> bool:
    """Tell whether a database that goes on may have refused a single item so, whatever the error's kind.

    False if the connection has ended, and if it is the server itself that lacks room or a device: a full disk has room
    for some items, and that is no reason to refuse the others.
    """
    match error:
        case DBAPIError(connection_invalidated=False, orig=PostgresError() as original):
            state = original.sqlstate or ""
            if original.diag.severity_nonlocalized != "ERROR" or not state:
                return False
            return raised_by_code(error) or not state.startswith(_EXHAUSTED)
        case DBAPIError(orig=sqlite3.Error()):
            return kind_of(error) in ITEM_FAULTS or code_of(error) == "SQLITE_ERROR"
        case _:
            return False


def raised_by_code(error: SQLAlchemyError) -> bool:
    """Tell whether a function in the database, as a trigger's, was running when the error came up, or raised it."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, PostgresError) and bool(error.orig.diag.context)


def code_of(error: SQLAlchemyError) -> str:
    """The database's own code of an error: SQLSTATE, or the name of SQLite's result code; "" if it has none."""
    match error:
        case DBAPIError(orig=PostgresError() as original):
            return original.sqlstate or ""
        case DBAPIError(orig=sqlite3.Error() as original):
            return getattr(original, "sqlite_errorname", None) or ""
        case _:
            return ""


def longest(table: Mapping[str, _Meaning], code: str, otherwise: _Meaning) -> _Meaning:
    """Look a code up by its longest beginning that is in a table; an empty one by itself."""
    beginnings = (code[:length] for length in range(len(code), 0, -1)) if code else iter([""])
    return next((table[beginning] for beginning in beginnings if beginning in table), otherwise)
