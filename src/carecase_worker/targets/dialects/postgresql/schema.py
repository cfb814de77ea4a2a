"""Schemas of PostgreSQL: the lock of a migration, the search path, and the creation of a database."""

from sqlalchemy import Connection, text

from carecase_worker.targets.tables import VERSION_TABLE

_LOCK = 0x63617265
"""The key of the advisory lock of migrations: "care" in ASCII."""


def wait_for_turn(connection: Connection) -> None:
    """Wait until no other process migrates, for as long as that takes.

    The migration itself may exceed a worker's timeouts, but waits for a lock no longer than a worker would: other
    sessions that need the same table queue behind it.
    """
    previous = connection.execute(text("SELECT current_setting('lock_timeout')")).scalar()
    for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text("SELECT set_config(:limit, '0', true)"), {"limit": limit})
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(text("SELECT set_config('lock_timeout', :held, true)"), {"held": previous})


def work_in_first_schema_only(connection: Connection) -> None:
    """Restrict this transaction to the first schema of the search path, which is this database's."""
    connection.execute(text("SELECT set_config('search_path', quote_ident(current_schema()), true)"))


def may_read_revision(connection: Connection) -> bool:
    """Return whether this user may read the table of revisions; a worker's user need not."""
    asked = text("SELECT has_table_privilege(to_regclass(:table), 'SELECT')")
    return connection.execute(asked, {"table": VERSION_TABLE}).scalar() is not False


def create_database(connection: Connection, name: str) -> None:
    """Create a database on a server, unless it exists."""
    found = connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}).scalar()
    if not found:
        quoted = connection.dialect.identifier_preparer.quote(name)
        connection.execute(text(f"CREATE DATABASE {quoted}"))
