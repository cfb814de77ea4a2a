"""One table: what a driver's error means. No other code reads error codes."""

import sqlite3
from collections.abc import Mapping

from psycopg import Error as PostgresError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from carecase_worker.cases.outcome import Kind, Outcome
from carecase_worker.errors import FailureKind

# SQLSTATE by its longest known beginning; PostgreSQL, appendix A. What is not here is taken for an item's doing.
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

# SQLite, extended result codes by their longest known beginning; what is not here is taken for the database's
_SQLITE_NAMES = {
    "SQLITE_CONSTRAINT": FailureKind.CONFLICT,
    "SQLITE_BUSY": FailureKind.CONTENTION,
    "SQLITE_LOCKED": FailureKind.CONTENTION,
    "SQLITE_TOOBIG": FailureKind.REFUSED,
    "SQLITE_MISMATCH": FailureKind.REFUSED,
}

_CONSTRAINTS = {
    "23502": "a not-null constraint",
    "23503": "a foreign key",
    "23505": "a unique constraint",
    "23514": "a check constraint",
    "23P01": "an exclusion constraint",
    "SQLITE_CONSTRAINT_NOTNULL": "a not-null constraint",
    "SQLITE_CONSTRAINT_FOREIGNKEY": "a foreign key",
    "SQLITE_CONSTRAINT_UNIQUE": "a unique constraint",
    "SQLITE_CONSTRAINT_CHECK": "a check constraint",
}


def kind_of(error: SQLAlchemyError) -> FailureKind:
    """What an error of the database means."""
    match error:
        case DBAPIError(orig=PostgresError() as original):
            return _longest(_SQLSTATES, original.sqlstate or "", FailureKind.REFUSED)
        case DBAPIError(orig=sqlite3.Error()):
            return _longest(_SQLITE_NAMES, _code(error), FailureKind.AWAY)
        case _:
            return FailureKind.AWAY


def _longest(table: Mapping[str, FailureKind], code: str, otherwise: FailureKind) -> FailureKind:
    beginnings = (code[:length] for length in range(len(code), 0, -1)) if code else iter([""])
    return next((table[beginning] for beginning in beginnings if beginning in table), otherwise)


def conflict(error: SQLAlchemyError) -> Outcome:
    """The outcome of an item that breaks a constraint: names the constraint, never a value."""
    what = _CONSTRAINTS.get(_code(error), "a constraint")
    name = _constraint_name(error)
    named = f" ({name})" if name else ""
    return Outcome(Kind.CONFLICT, f"The item conflicts with {what} of the target database{named}.")


def _code(error: SQLAlchemyError) -> str:
    match error:
        case DBAPIError(orig=PostgresError() as original):
            return original.sqlstate or ""
        case DBAPIError(orig=sqlite3.Error() as original):
            return getattr(original, "sqlite_errorname", None) or ""
        case _:
            return ""


def _constraint_name(error: SQLAlchemyError) -> str | None:
    if isinstance(error, DBAPIError) and isinstance(error.orig, PostgresError):
        return error.orig.diag.constraint_name
    return None
