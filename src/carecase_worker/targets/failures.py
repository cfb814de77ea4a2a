"""The meanings of the drivers' errors, and their causes. No other code reads error codes."""

import sqlite3
from collections.abc import Mapping

from psycopg import Error as PostgresError
from psycopg.errors import ConnectionTimeout
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.targets.causes import Causes, PostgresRefused, SqliteRefused, cause_by_words, parameter_by_words

ITEM_FAULTS = (FailureKind.CONFLICT, FailureKind.REFUSED)
"""Kinds of failure that are an item's fault, by the code alone."""

_Meaning = tuple[FailureKind, Causes | None]
"""Kind of failure for the chunk at hand, and its cause unless an item is at fault."""

_SQLSTATES: Mapping[str, _Meaning] = {
    "08": (FailureKind.AWAY, Causes.BROKEN),  # connection exception
    "23": (FailureKind.CONFLICT, None),  # integrity constraint violation
    "25": (FailureKind.AWAY, Causes.UNKNOWN),  # invalid transaction state, as in a failed transaction
    "25006": (FailureKind.AWAY, Causes.READ_ONLY),
    "25P03": (FailureKind.AWAY, Causes.STOPPED),  # idle_in_transaction_session_timeout
    "25P04": (FailureKind.AWAY, Causes.STOPPED),  # transaction_timeout
    "28": (FailureKind.AWAY, Causes.NOT_ADMITTED),  # invalid authorisation
    "28P01": (FailureKind.AWAY, Causes.PASSWORD),
    "3D": (FailureKind.AWAY, Causes.NO_DATABASE),
    "3F": (FailureKind.AWAY, Causes.NO_SCHEMA),
    "40": (FailureKind.CONTENTION, Causes.UNKNOWN),  # deadlock, serialisation failure
    "42": (FailureKind.AWAY, Causes.SCHEMA),  # no such table, column or function: the schema is not ready
    "42501": (FailureKind.AWAY, Causes.PRIVILEGE),
    "44": (FailureKind.CONFLICT, None),  # with check option
    "53": (FailureKind.AWAY, Causes.RESOURCES),  # insufficient resources
    "53100": (FailureKind.AWAY, Causes.DISK_FULL),
    "53300": (FailureKind.AWAY, Causes.CONNECTIONS),
    "55": (FailureKind.AWAY, Causes.UNKNOWN),  # object not in prerequisite state
    "55P03": (FailureKind.TOO_SLOW, Causes.TIMEOUT),  # lock_timeout
    "57": (FailureKind.AWAY, Causes.UNKNOWN),  # operator intervention
    "57014": (FailureKind.TOO_SLOW, Causes.TIMEOUT),  # statement_timeout
    "57P": (FailureKind.AWAY, Causes.STOPPED),
    "57P03": (FailureKind.AWAY, Causes.STARTING),
    "58": (FailureKind.AWAY, Causes.FAULT),  # system error
    "XX": (FailureKind.AWAY, Causes.FAULT),  # internal error
}
"""Meanings by the longest known prefix of an SQLSTATE (PostgreSQL, appendix A). Any other is an item's fault.

A trigger may raise any of them over a single item: `answered` decides whether that can be.
"""
_OTHER_SQLSTATE: _Meaning = (FailureKind.REFUSED, None)

_ROW_SECURITY = ("42501", "ExecWithCheckOptions")
"""SQLSTATE and source function of a row that a policy refuses; a lack of privileges has another function."""
_EXHAUSTED = ("53", "58")
"""Classes of errors for resources and devices, which a database may lack for some items and have for others."""

_SQLITE_NAMES: Mapping[str, _Meaning] = {
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
_NAMELESS = "unknown"
_AWAY: _Meaning = (FailureKind.AWAY, Causes.UNKNOWN)


def failure_of(error: SQLAlchemyError) -> TargetFailure:
    """Translate a database error into a TargetFailure, with its cause unless an item is at fault.

    If a connection parameter is at fault, its name takes the place of the code, which the database has not given.
    """
    kind, cause = _meaning(error)
    code = code_of(error)
    if cause is Causes.PARAMETER and isinstance(error, DBAPIError):
        code = parameter_by_words(str(error.orig))
    return TargetFailure(kind, code, cause.value if cause else None)


def away(code: str) -> TargetFailure:
    """Return the failure of a database that is away although it answers, with the cause that a code stands for."""
    _, cause = _longest({**_SQLSTATES, **_SQLITE_NAMES}, code, _AWAY)
    return TargetFailure(FailureKind.AWAY, code, (cause or Causes.UNKNOWN).value)


def classify(error: SQLAlchemyError) -> FailureKind:
    """Return the kind of failure of a database error."""
    return _meaning(error)[0]


def answered(error: SQLAlchemyError) -> bool:
    """Return whether the database is still there and may have refused a single item with this error.

    That does not depend on the error's kind. False if the connection has ended, or the server itself lacks room or a
    device: a full disk still has room for some items, and that is no reason to refuse the others.
    """
    match error:
        case DBAPIError(connection_invalidated=False, orig=PostgresError() as original):
            state = original.sqlstate or ""
            if original.diag.severity_nonlocalized != "ERROR" or not state:
                return False
            return raised_by_code(error) or not state.startswith(_EXHAUSTED)
        case DBAPIError(orig=sqlite3.Error()):
            return classify(error) in ITEM_FAULTS or code_of(error) == "SQLITE_ERROR"
        case _:
            return False


def raised_by_code(error: SQLAlchemyError) -> bool:
    """Return whether a function in the database, as a trigger's, raised the error or was running when it arose."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, PostgresError) and bool(error.orig.diag.context)


def code_of(error: SQLAlchemyError) -> str:
    """Return the database's own code of an error: SQLSTATE, or the name of SQLite's result code; empty without one."""
    match error:
        case DBAPIError(orig=PostgresError() as original):
            return original.sqlstate or ""
        case DBAPIError(orig=sqlite3.Error() as original):
            name = getattr(original, "sqlite_errorname", None) or ""
            return _primary_name(original.sqlite_errorcode) if name == _NAMELESS else name
        case _:
            return ""


def _primary_name(code: int) -> str:
    """Return the name of an extended result code's primary one; Python does not know all the extended names."""
    primary = code & 0xFF
    return next((name for name in _SQLITE_NAMES if getattr(sqlite3, name, None) == primary), _NAMELESS)


def _meaning(error: SQLAlchemyError) -> _Meaning:
    match error:
        case DBAPIError(orig=(PostgresRefused() | SqliteRefused()) as refused):
            return FailureKind.AWAY, refused.cause
        case DBAPIError(orig=ConnectionTimeout()):
            return FailureKind.AWAY, Causes.TIMEOUT
        case DBAPIError(orig=PostgresError() as original) if original.sqlstate:
            if (original.sqlstate, original.diag.source_function) == _ROW_SECURITY:
                return FailureKind.REFUSED, None
            return _longest(_SQLSTATES, original.sqlstate, _OTHER_SQLSTATE)
        case DBAPIError(orig=PostgresError() as original):  # the connection broke before the server said anything
            return FailureKind.AWAY, cause_by_words(str(original))
        case DBAPIError(orig=sqlite3.Error()):
            return _longest(_SQLITE_NAMES, code_of(error), _AWAY)
        case _:
            return _AWAY


def _longest(table: Mapping[str, _Meaning], code: str, otherwise: _Meaning) -> _Meaning:
    """Look a code up by its longest prefix in a table."""
    beginnings = (code[:length] for length in range(len(code), 0, -1))
    return next((table[beginning] for beginning in beginnings if beginning in table), otherwise)
