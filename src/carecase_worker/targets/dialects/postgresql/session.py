"""Sessions of PostgreSQL: their settings, and the schema that they work in.

The settings are made after connecting and not by libpq's `options`, so that they override those of the URL, a service
file, PGOPTIONS or the role.
"""

import re
from collections.abc import Mapping
from typing import Any

from psycopg import Connection
from psycopg import Error as PostgresError
from sqlalchemy import URL, Engine, event

from carecase_worker.clock import milliseconds
from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.settings.urls.target_parameters import changed_settings
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.dialects.postgresql.errors import LOWEST, PostgresRefused
from carecase_worker.targets.dialects.postgresql.refusals import KEYWORDS
from carecase_worker.targets.tables import OUR_TABLES

_OWN_PATH = """
SELECT string_agg(quote_ident(name), ', ' ORDER BY place)
FROM unnest(current_schemas(false)) WITH ORDINALITY AS path(name, place)
WHERE place = 1 OR NOT EXISTS (
  SELECT FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
  WHERE nspname = name AND relname = ANY(%(ours)s))
"""
"""SQL for the search path without further schemas that contain our tables, which belong to other tenants."""

_KEEP_MEMORY = "octet_length(repeat(repeat(' ', 4096), 2048))"
"""SQL for a value of 8 MiB. Once it is freed, the server's allocator (glibc, whose thresholds adapt) keeps up to 16 MiB
of what later statements free; without it, it takes and zeroes the megabytes of each chunk anew."""

_APPLICATION = "coalesce(nullif(current_setting('application_name'), ''), 'carecase-worker')"


class Session:
    """The setup of every new connection; SQLAlchemy calls it."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = {
            "statement_timeout": str(milliseconds(settings.statement_timeout)),
            "lock_timeout": str(milliseconds(settings.lock_timeout)),
            "idle_in_transaction_session_timeout": str(milliseconds(2 * settings.statement_timeout)),
            "client_connection_check_interval": "1000",
            "TimeZone": "UTC",
            "client_encoding": "UTF8",  # whatever the database's is: JSON is sent as it is
            "synchronous_commit": "on",
        }
        made = ", ".join(f"set_config('{name}', %({name})s, false)" for name in self._settings)
        self._statement = (
            "SELECT pg_backend_pid(), pg_is_in_recovery(), current_setting('transaction_read_only'),"
            " current_user, current_schema(), current_setting('search_path'),"
            f" set_config('application_name', {_APPLICATION}, false), {_KEEP_MEMORY},"
            f" set_config('search_path', coalesce(({_OWN_PATH}), current_setting('search_path')), false), {made}"
        )

    def __call__(self, connection: Connection[Any], _: Any) -> None:
        """Check and set up a connection. Raises PostgresRefused, or the server's own error."""
        try:
            self._set_up(connection)
        except PostgresError:
            connection.close()
            raise

    def _set_up(self, connection: Connection[Any]) -> None:
        if connection.info.server_version < LOWEST * 10_000:
            raise PostgresRefused(Causes.VERSION)
        if changed_settings(_options_of(connection), self._settings):
            raise PostgresRefused(Causes.SESSION)
        connection.autocommit = True  # settings made in a transaction would end with it
        (found,) = connection.execute(self._statement, {**self._settings, "ours": sorted(OUR_TABLES)})
        connection.autocommit = False
        process, in_recovery, read_only, user, schema, path, *_ = found
        if process != connection.info.backend_pid:  # a pooler lends another session for each transaction
            raise PostgresRefused(Causes.POOLER)
        if in_recovery:
            raise PostgresRefused(Causes.STANDBY)
        if read_only == "on":
            raise PostgresRefused(Causes.READ_ONLY)
        if schema is None or schema not in _first_of(path, user):
            raise PostgresRefused(Causes.NO_SCHEMA)


def set_up(engine: Engine, settings: DatabaseSettings) -> None:
    """Check and set up each session of an engine."""
    event.listen(engine, "connect", Session(settings))


def engine_arguments(settings: DatabaseSettings, url: URL) -> Mapping[str, Any]:
    """Return the connection parameters that the URL does not set, and the lifetime of a connection."""
    ours = {
        "connect_timeout": max(2, round(settings.connect_timeout.total_seconds())),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "client_encoding": "UTF8",  # from the first response on: texts of a database in SQL_ASCII would come as bytes
    }
    parameters = {name: value for name, value in ours.items() if name not in url.query}
    return {"connect_args": parameters, "pool_recycle": 1800}


def unknown_parameters(url: URL) -> list[str]:
    """Return the parameters of a URL that libpq does not know."""
    return sorted(set(url.query) - KEYWORDS)


def _options_of(connection: Connection[Any]) -> str:
    """Return the effective `options` of libpq, from any source."""
    return next(((option.val or b"").decode() for option in connection.pgconn.info if option.keyword == b"options"), "")


def _first_of(search_path: str, user: str) -> list[str]:
    """Return the intended schemas: the first one named, preceded by the user's own."""
    meant = []
    for quoted, plain in re.findall(r'"((?:[^"]|"")*)"|([^\s,"]+)', search_path):
        name = quoted.replace('""', '"') if quoted else plain.lower()
        meant.append(user if name == "$user" else name)
        if name not in ("$user", "pg_temp"):
            break
    return meant
