"""Sessions of SQLite: immediate transactions, durable commits, foreign keys."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, Connection, Engine, event

from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.dialects.sqlite.errors import LOWEST, SqliteRefused
from carecase_worker.targets.dialects.sqlite.file import watch


def engine_arguments(settings: DatabaseSettings, _: URL) -> Mapping[str, Any]:
    """Return the driver's arguments: how long it waits for a lock."""
    return {"connect_args": {"timeout": settings.lock_timeout.total_seconds()}}


def set_up(engine: Engine, _: DatabaseSettings) -> None:
    """Watch the engine's file, and set up each of its sessions."""
    watch(engine)
    event.listen(engine, "connect", _connected)
    event.listen(engine, "begin", _begin)


def has_lost_transaction(connection: Connection) -> bool:
    """Return whether SQLite rolled back the whole transaction.

    It does so after an interrupt or `RAISE(ROLLBACK)`.
    """
    return not connection.invalidated and not getattr(connection.connection.dbapi_connection, "in_transaction", True)


def _connected(connection: Any, _: Any) -> None:
    if sqlite3.sqlite_version_info < LOWEST:
        raise SqliteRefused(Causes.VERSION)
    connection.isolation_level = None  # transactions begin where _begin says, not where the driver guesses
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
