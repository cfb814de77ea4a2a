"""Timeouts of statements and locks in a transaction, and the search for a session that may have held a lock."""

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
    """Limit each statement up to the end of the transaction, where the database can; lock waits end sooner."""
    if connection.dialect.name == "postgresql":
        statement_ms = max(2, round(seconds * 1000))
        lock_ms = max(1, round(_lock_s(seconds) * 1000))
        connection.execute(_LIMITS, {"statement_ms": str(statement_ms), "lock_ms": str(lock_ms)})
    else:
        limit_sqlite(connection, seconds)


def is_a_lock(code: str) -> bool:
    """Return whether this SQLSTATE means that a statement waited too long for a lock."""
    return code == "55P03"


def may_have_waited_for_us(connection: Connection, seconds: float) -> bool:
    """Return whether another session of this service was in a transaction for all of a wait for a lock.

    `seconds` is the limit of the statement. Two slow chunks that share cases can block each other; that is no case's
    fault.
    """
    return bool(connection.execute(_ANOTHER_OF_US, {"seconds": _lock_s(seconds)}).scalar())


def _lock_s(seconds: float) -> float:
    return seconds * 4 / 5
