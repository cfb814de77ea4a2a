"""A tenant's engine: one connection for each process, and deadlines on everything."""

import sqlite3
from typing import Any

from sqlalchemy import URL, Engine, ExceptionContext, create_engine, event, make_url

from carecase_worker.errors import SettingsError
from carecase_worker.targets.causes import Causes, SqliteRefused
from carecase_worker.targets.postgres_session import Session, connect_arguments, unknown_parameters
from carecase_worker.targets.sqlite_file import watch
from carecase_worker.targets.tenants import Tenant
from carecase_worker.targets.versions import LOWEST_SQLITE

_DRIVERS = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}


def engine_for(tenant: Tenant) -> Engine:
    """Return an engine for a tenant; it connects when it is first used. Raises SettingsError as `url_of` does."""
    url = url_of(tenant)
    settings = tenant.database
    common: dict[str, Any] = {"hide_parameters": True, "pool_size": 1, "max_overflow": 0, "pool_timeout": 3}
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": settings.lock_timeout.total_seconds()}, **common)
        event.listen(engine, "handle_error", _interrupted)
        watch(engine)
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    engine = create_engine(url, connect_args=connect_arguments(settings, url), pool_recycle=1800, **common)
    event.listen(engine, "handle_error", _interrupted)
    event.listen(engine, "connect", Session(settings))
    return engine


def url_of(tenant: Tenant) -> URL:
    """Return the URL of a tenant with its driver and its password.

    Raises SettingsError for parameters that libpq lacks.
    """
    url = make_url(tenant.database.url.get_secret_value())
    driver = _DRIVERS[url.get_backend_name()]
    password = tenant.database.password
    if password is not None:
        url = url.set(password=password.get_secret_value())
    unknown = unknown_parameters(url) if driver != "sqlite" else ()
    if unknown:
        found = ", ".join(unknown)
        raise SettingsError(
            f"databases.{tenant.name}.url: has {found}, which libpq has no parameters for; take them out"
        )
    return url.set(drivername=driver)


def _interrupted(context: ExceptionContext) -> None:
    """Discard a connection whose statement was ended by the attempt's deadline, not by an error of the driver.

    The connection still waits for a response, and rolling back on it would raise another error, which hides this one.
    """
    if not isinstance(context.original_exception, context.dialect.loaded_dbapi.Error):
        context.is_disconnect = True


def _sqlite_connected(connection: Any, _: Any) -> None:
    if sqlite3.sqlite_version_info < LOWEST_SQLITE:
        raise SqliteRefused(Causes.VERSION)
    connection.isolation_level = None  # transactions begin where _sqlite_begin says, not where the driver guesses
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
