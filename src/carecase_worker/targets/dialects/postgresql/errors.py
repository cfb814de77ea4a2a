"""Meanings of the errors that PostgreSQL and psycopg raise, by SQLSTATE (PostgreSQL, appendix A)."""

from collections.abc import Mapping

from psycopg import Error as PostgresError
from psycopg import OperationalError
from psycopg.errors import ConnectionTimeout
from sqlalchemy.exc import DBAPIError

from carecase_worker.errors import FailureKind
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.dialects.failures import Errors, Meaning
from carecase_worker.targets.dialects.postgresql.refusals import cause_by_words, parameter_by_words

LOWEST = 14
"""The first version with `client_connection_check_interval`: a dead worker keeps no locks."""

_SQLSTATES: Mapping[str, Meaning] = {
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
_OTHER_SQLSTATE: Meaning = (FailureKind.REFUSED, None)
_ROW_SECURITY = ("42501", "ExecWithCheckOptions")
"""SQLSTATE and source function of a row refused by a policy; missing privileges have another function."""
_EXHAUSTED = ("53", "58")
"""Error classes of resources and devices, which may suffice for some items but not for others."""
_LIMIT_OF_A_QUERY = "53400"
"""The SQLSTATE of `temp_file_limit`. A trigger's query may exceed it over one item, and would again after any wait."""
_RAISE = "exec_stmt_raise"
"""Source function of an error that PL/pgSQL's RAISE made; an error that RAISE passes on keeps its own."""


class PostgresRefused(OperationalError):
    """A connection to PostgreSQL that was made but does not fit this service."""

    def __init__(self, cause: Causes) -> None:
        super().__init__(cause.value.text)
        self.cause = cause


def _code_of(error: PostgresError) -> str:
    return error.sqlstate or ""


def _special(error: PostgresError) -> Meaning | None:
    match error:
        case PostgresRefused():
            return FailureKind.AWAY, error.cause
        case ConnectionTimeout():
            return FailureKind.AWAY, Causes.TIMEOUT
        case PostgresError(sqlstate=None | ""):  # the connection broke before the server said anything
            return FailureKind.AWAY, cause_by_words(str(error))
        case _:
            is_row_security = (error.sqlstate, error.diag.source_function) == _ROW_SECURITY
            return (FailureKind.REFUSED, None) if is_row_security else None


def _may_blame_an_item(error: DBAPIError, _: FailureKind) -> bool:
    """Return whether a single item may be at fault.

    False if the connection has ended, or the server lacks a resource: a full disk still has room for some items, but
    that is no reason to refuse the others. That also holds if a trigger's own statement met the full disk.
    """
    original = error.orig
    if error.connection_invalidated or not isinstance(original, PostgresError) or not original.sqlstate:
        return False
    if original.diag.severity_nonlocalized != "ERROR":
        return False
    if original.sqlstate == _LIMIT_OF_A_QUERY:
        return bool(original.diag.context)
    return _is_of_code(original) or not original.sqlstate.startswith(_EXHAUSTED)


def _is_of_code(error: PostgresError) -> bool:
    """Return whether code in the database, as a trigger's, made the error.

    An error that merely arose while code was running, as a deadlock or a full disk, is the server's own.
    """
    return error.diag.source_function == _RAISE


ERRORS = Errors(
    lowest=f"PostgreSQL {LOWEST}",
    raised=PostgresError,
    code_of_raised=_code_of,
    meanings=_SQLSTATES,
    any_other=_OTHER_SQLSTATE,
    special=_special,
    may_blame_an_item=_may_blame_an_item,
    is_of_code=_is_of_code,
    parameter=parameter_by_words,
)
