"""One table: what a driver's error means. No other code reads error codes."""

import sqlite3

from psycopg import Error as PostgresError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from carecase_worker.cases.outcome import Kind, Outcome
from carecase_worker.errors import FailureKind

# SQLSTATE by its longest known beginning; PostgreSQL, appendix A
_SQLSTATES = {
    "23": FailureKind.CONFLICT,
    "22": FailureKind.REFUSED,
    "P0001": FailureKind.REFUSED,  # a trigger's RAISE
    "44": FailureKind.CONFLICT,  # with check option
    "40": FailureKind.CONTENTION,
    "55P03": FailureKind.TOO_SLOW,  # lock_timeout
    "57014": FailureKind.TOO_SLOW,  # statement_timeout
}

# SQLite, extended result codes by their longest known beginning
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
    """What an error of the database means. Whatever is not known to be an item's fault means: try later."""
    code = _code(error)
    for table in (_SQLSTATES, _SQLITE_NAMES):
        for length in range(len(code), 0, -1):
            if code[:length] in table:
                return table[code[:length]]
    return FailureKind.AWAY


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
