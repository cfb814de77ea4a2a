"""One table: why a target database is away, told from a driver's error, each with what to do about it.

What a server says after it has let a connection in has a code. What happens before that has none: the driver keeps
libpq's text alone, and the beginning of the connection is told by words of that text, which are never passed on.
"""

import re
import sqlite3
from enum import Enum

from psycopg import Error as PostgresError
from psycopg import OperationalError as PostgresRefusal
from psycopg.errors import ConnectionTimeout
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from carecase_worker.errors import Cause, FailureKind, TargetFailure
from carecase_worker.targets.failures import ITEM_FAULTS, code_of, kind_of, longest
from carecase_worker.targets.versions import LOWEST_POSTGRES, LOWEST_SQLITE


class Causes(Enum):
    """Every cause that is told apart."""

    PASSWORD = Cause("password", "refuses this user or its password: check both, in the URL and in its password")
    NOT_ADMITTED = Cause(
        "not-admitted", "lets this user or host in by no rule of its pg_hba.conf: add one, or use TLS (sslmode=require)"
    )
    NO_DATABASE = Cause("no-database", "there is no such database on that server: create it, or check the URL")
    NOT_ACCEPTING = Cause(
        "not-accepting", "allows no connections: ALTER DATABASE … ALLOW_CONNECTIONS true, once that is right"
    )
    UNKNOWN_HOST = Cause("unknown-host", "its host name is not known here: check the URL and this machine's DNS")
    REFUSED = Cause("refused", "nothing listens at its host and port: check that it runs, and the URL")
    UNREACHABLE = Cause("unreachable", "there is no way to its host: check the network and the URL")
    TIMEOUT = Cause("timeout", "does not answer in time: check that it runs, the network and its load")
    NO_TLS = Cause("no-tls", "does not speak TLS, which sslmode asks for: switch it on there, or change sslmode")
    CERTIFICATE = Cause(
        "certificate", "the certificates for TLS are not good: check sslrootcert, sslcert, sslkey and the host's name"
    )
    STARTING = Cause("starting", "is starting up, shutting down or recovering: wait, or see its log")
    STANDBY = Cause(
        "standby",
        "is in recovery, as a standby is, and takes no writes: name the primary, or target_session_attrs=read-write",
    )
    READ_ONLY = Cause("read-only", "takes no writes: check its read-only settings, or the file's permissions")
    CONNECTIONS = Cause("connections", "has no connection left: raise max_connections, or run fewer workers")
    PRIVILEGE = Cause(
        "privilege",
        "this user lacks a privilege: SELECT, INSERT, UPDATE and DELETE on the tables, and CREATE on the schema"
        " for carecase db upgrade",
    )
    NO_SCHEMA = Cause(
        "no-schema",
        "the schema that its search path names first is not there, or this user may not use it:"
        " CREATE SCHEMA, GRANT USAGE, or check the path",
    )
    SCHEMA = Cause("schema", "its tables are not those that this version needs: see carecase db check")
    DISK_FULL = Cause("disk-full", "its disk is full: make room")
    RESOURCES = Cause("resources", "is out of memory or another resource: see its log")
    STOPPED = Cause("stopped", "has ended the connection: it was stopped or restarted, or somebody ended the session")
    BROKEN = Cause("broken", "the connection broke: check that it runs, and the network")
    DAMAGED = Cause("damaged", "is no SQLite database, or is damaged: restore it from a backup")
    NO_FILE = Cause(
        "no-file",
        "its file is not there or cannot be opened: check its path, the permissions of its directory, and with"
        " carecase db check whether it was ever made",
    )
    FAULT = Cause("fault", "has a fault of its own: see its log")
    SERVICE = Cause("service", "the service that its URL names is in no service file: check PGSERVICEFILE")
    PARAMETER = Cause("parameter", "a connection parameter has a value that is none: check the URL")
    SESSION = Cause(
        "session",
        "PGOPTIONS or a service file changes what carecase sets for its sessions: take that out,"
        " and see statement_timeout_seconds and lock_timeout_seconds",
    )
    POOLER = Cause(
        "pooler",
        "a connection pooler stands before it, and lends a session that others have changed: name the server itself",
    )
    VERSION = Cause(
        "version",
        f"its version is not supported: the lowest are PostgreSQL {LOWEST_POSTGRES} and"
        f" SQLite {LOWEST_SQLITE[0]}.{LOWEST_SQLITE[1]}, see docs/operations/versions.md",
    )
    UNKNOWN = Cause("unknown", "does not do its part: see its log")


_SQLSTATES = {
    "08": Causes.BROKEN,
    "25006": Causes.READ_ONLY,
    "28": Causes.NOT_ADMITTED,
    "28P01": Causes.PASSWORD,
    "3D": Causes.NO_DATABASE,
    "3F": Causes.NO_SCHEMA,
    "42": Causes.SCHEMA,
    "42501": Causes.PRIVILEGE,
    "53": Causes.RESOURCES,
    "53100": Causes.DISK_FULL,
    "53300": Causes.CONNECTIONS,
    "55000": Causes.NOT_ACCEPTING,
    "55P03": Causes.TIMEOUT,
    "57014": Causes.TIMEOUT,
    "57P": Causes.STOPPED,
    "57P03": Causes.STARTING,
    "58": Causes.FAULT,
    "XX": Causes.FAULT,
}
"""By the longest known beginning of an SQLSTATE; PostgreSQL, appendix A."""

_SQLITE_NAMES = {
    "SQLITE_BUSY": Causes.TIMEOUT,
    "SQLITE_LOCKED": Causes.TIMEOUT,
    "SQLITE_READONLY": Causes.READ_ONLY,
    "SQLITE_CANTOPEN": Causes.NO_FILE,
    "SQLITE_PERM": Causes.NO_FILE,
    "SQLITE_AUTH": Causes.NO_FILE,
    "SQLITE_FULL": Causes.DISK_FULL,
    "SQLITE_IOERR": Causes.FAULT,
    "SQLITE_NOMEM": Causes.RESOURCES,
    "SQLITE_NOTADB": Causes.DAMAGED,
    "SQLITE_CORRUPT": Causes.DAMAGED,
    "SQLITE_SCHEMA": Causes.SCHEMA,
    "SQLITE_ERROR": Causes.SCHEMA,  # what it says of a table or column that is not there
}
"""By the longest known beginning of an extended result code's name."""

_WORDS = (
    (r"password authentication failed|no password supplied|\bSCRAM\b|role '' does not exist", Causes.PASSWORD),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects|authentication failed|not permitted to log in", Causes.NOT_ADMITTED),
    (r"not currently accepting connections", Causes.NOT_ACCEPTING),
    (r"permission denied", Causes.PRIVILEGE),
    (r"database '' does not exist", Causes.NO_DATABASE),
    (r"starting up|shutting down|recovery mode|system is not (yet )?accepting", Causes.STARTING),
    (r"too many c|connection slots are reserved", Causes.CONNECTIONS),
    (r"session is not read-only|in hot standby", Causes.STANDBY),
    (r"session is read-only", Causes.READ_ONLY),
    (r"does not support SSL|SSL was required|SSL is required", Causes.NO_TLS),
    (r"certificate|private key|\bSSL\b|\bTLS\b", Causes.CERTIFICATE),
    (r"resolve host|translate host name|Name or service not known|name resolution", Causes.UNKNOWN_HOST),
    (r"Connection refused|No such file or directory|running locally", Causes.REFUSED),
    (r"No route to host|unreachable", Causes.UNREACHABLE),
    (r"timeout|timed out", Causes.TIMEOUT),
    (r"definition of service|service file", Causes.SERVICE),
    (r"invalid .*(value|option|number|size)|could not parse", Causes.PARAMETER),
    (r"closed the connection|Connection reset|connection is lost|the connection is closed", Causes.BROKEN),
)
"""By words that libpq and PostgreSQL say while a connection is made; the first that is found counts."""


class PostgresRefused(PostgresRefusal):
    """A connection to PostgreSQL that was made and is not good for this service."""

    def __init__(self, cause: Causes) -> None:
        super().__init__(cause.value.text)
        self.cause = cause


class SqliteRefused(sqlite3.OperationalError):
    """A connection to SQLite that was made and is not good for this service."""

    def __init__(self, cause: Causes) -> None:
        super().__init__(cause.value.text)
        self.cause = cause


def failure_of(error: SQLAlchemyError) -> TargetFailure:
    """The failure that an error of the database is; with its cause, if it is no item's doing."""
    kind = kind_of(error)
    return TargetFailure(kind, code_of(error), None if kind in ITEM_FAULTS else cause_of(error).value)


def away(code: str) -> TargetFailure:
    """The failure of a database that is away although it answers, with a code of its own."""
    return TargetFailure(FailureKind.AWAY, code, longest({**_SQLSTATES, **_SQLITE_NAMES}, code, Causes.UNKNOWN).value)


def cause_of(error: SQLAlchemyError) -> Causes:
    """The cause of an error, supposing that it is the database's."""
    match error:
        case DBAPIError(orig=(PostgresRefused() | SqliteRefused()) as refused):
            return refused.cause
        case DBAPIError(orig=ConnectionTimeout()):
            return Causes.TIMEOUT
        case DBAPIError(orig=PostgresError() as original) if original.sqlstate:
            return longest(_SQLSTATES, original.sqlstate, Causes.UNKNOWN)
        case DBAPIError(orig=PostgresError() as original):
            return _by_words(str(original))
        case DBAPIError(orig=sqlite3.Error() as original):
            return longest(_SQLITE_NAMES, code_of(error), Causes.UNKNOWN)
        case _:
            return Causes.UNKNOWN


def _by_words(text: str) -> Causes:
    bare = re.sub(r"\"[^\"]*\"|'[^'\n]*'", "''", text)  # the names of hosts, files and users could be such words
    return next((cause for words, cause in _WORDS if re.search(words, bare)), Causes.UNKNOWN)
