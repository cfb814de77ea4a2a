"""Timeouts of statements and locks in a transaction, and the search for a session that may hold a lock."""

from sqlalchemy import Connection, text

LOCK_NOT_AVAILABLE = "55P03"
"""The SQLSTATE of a statement that waited too long for a lock."""

_LIMITS = text(
    "SELECT set_config('statement_timeout', :statement_ms, true), set_config('lock_timeout', :lock_ms, true)"
)
_NO_DEADLINE = text("SET LOCAL statement_timeout = 0")
_CHECK_AT_ONCE = text("SET CONSTRAINTS ALL IMMEDIATE")
_ANOTHER_OF_US = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND datname = current_database() AND usename = session_user"
    " AND application_name = current_setting('application_name')"
    " AND xact_start < clock_timestamp() - make_interval(secs => :seconds))"
)


def limit_statements(connection: Connection, seconds: float) -> None:
    """Limit each statement up to the end of the transaction; lock waits end sooner."""
    statement_ms = max(2, round(seconds * 1000))
    lock_ms = max(1, round(_lock_s(seconds) * 1000))
    connection.execute(_LIMITS, {"statement_ms": str(statement_ms), "lock_ms": str(lock_ms)})


def lift_deadline(connection: Connection) -> None:
    """Lift the statement timeout up to the end of the transaction."""
    connection.execute(_NO_DEADLINE)


def check_constraints_at_once(connection: Connection) -> None:
    """Check deferred constraints now, and from now on with each statement."""
    connection.execute(_CHECK_AT_ONCE)


def may_have_waited_for_us(connection: Connection, seconds: float) -> bool:
    """Return whether another session of this service was in a transaction for all of a wait for a lock.

    `seconds` is the limit of the statement.
    """
    return bool(connection.execute(_ANOTHER_OF_US, {"seconds": _lock_s(seconds)}).scalar())


def _lock_s(seconds: float) -> float:
    return seconds * 4 / 5
