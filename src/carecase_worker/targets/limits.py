"""How long a statement may take and wait for a lock within a transaction, and for whose lock it waited."""

from sqlalchemy import Connection, text

from carecase_worker.targets.sqlite_file import limit_sqlite

_LIMITS = text(
    "SELECT set_config('statement_timeout', :statement_ms, true), set_config('lock_timeout', :lock_ms, true)"
)
_ANOTHER_OF_US = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND datname = current_database() AND usename = session_user"
    " AND application_name = current_setting('application_name')"
    " AND xact_start < clock_timestamp() - make_interval(secs => :seconds))"
)


def limit_statements(connection: Connection, seconds: float) -> None:
    """Bound each statement up to the end of the transaction, where the database can; waiting for a lock ends before."""
    if connection.dialect.name == "postgresql":
        statement_ms = max(2, round(seconds * 1000))
        lock_ms = max(1, round(_lock_s(seconds) * 1000))
        connection.execute(_LIMITS, {"statement_ms": str(statement_ms), "lock_ms": str(lock_ms)})
    else:
        limit_sqlite(connection, seconds)


def is_a_lock(code: str) -> bool:
    """Tell whether a statement ended with this SQLSTATE since it waited too long for a lock."""
    return code == "55P03"


def may_have_waited_for_us(connection: Connection, seconds: float) -> bool:
    """Tell whether another session of this service has been in a transaction for all of a wait for a lock.

    `seconds` is what the statement was limited to. Two chunks that share cases, both slow, can hold each other up;
    that is no case's fault.
    """
    return bool(connection.execute(_ANOTHER_OF_US, {"seconds": _lock_s(seconds)}).scalar())


def _lock_s(seconds: float) -> float:
    return seconds * 4 / 5
