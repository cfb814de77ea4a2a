"""Causes for which a target database is away, each with its remedy.

Once a connection is made, a server's errors have codes, by which `failures.py` knows the causes. Errors before that
have none: psycopg keeps only libpq's text. The cause is then found by words of that text, which is never passed on.
"""

import re
import sqlite3
from enum import Enum

from psycopg import OperationalError as PostgresRefusal
from psycopg.pq import Conninfo

from carecase_worker.errors import Cause
from carecase_worker.targets.versions import LOWEST_POSTGRES, LOWEST_SQLITE


class Causes(Enum):
    """Every cause that is distinguished."""

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
    PARAMETER = Cause(
        "parameter",
        "a connection parameter has a value that cannot be used: check the URL, and PG… variables or a service file",
    )
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


_WORDS = (
    (r"password authentication failed|no password supplied|\bSCRAM\b|role '' does not exist", Causes.PASSWORD),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects|authentication failed|not permitted to log in", Causes.NOT_ADMITTED),
    (r"not currently accepting connections", Causes.NOT_ACCEPTING),
    (
        r"command-line argument|requires a value|configuration parameter|parameter '' cannot|set parameter",
        Causes.PARAMETER,
    ),
    (r"permission denied", Causes.PRIVILEGE),
    (r"database '' does not exist", Causes.NO_DATABASE),
    (r"starting up|shutting down|recovery mode|system is not (yet )?accepting", Causes.STARTING),
    (r"too many c|connection slots are reserved", Causes.CONNECTIONS),
    (r"session is not read-only|is not in hot standby", Causes.PARAMETER),
    (r"in hot standby", Causes.STANDBY),
    (r"session is read-only", Causes.READ_ONLY),
    (r"invalid .*(value|option|number|protocol version)|weak sslmode|could not parse", Causes.PARAMETER),
    (r"does not support SSL|SSL is required", Causes.NO_TLS),
    (r"certificate|private key|\bSSL\b|\bTLS\b", Causes.CERTIFICATE),
    (r"resolve host|translate host name|Name or service not known|name resolution", Causes.UNKNOWN_HOST),
    (r"Connection refused|No such file or directory|running locally", Causes.REFUSED),
    (r"No route to host|unreachable", Causes.UNREACHABLE),
    (r"timeout|timed out", Causes.TIMEOUT),
    (r"definition of service|service file", Causes.SERVICE),
    (r"closed the connection|Connection reset|connection is lost|the connection is closed", Causes.BROKEN),
)
"""Causes by patterns in the texts of libpq and PostgreSQL while a connection is made; the first match counts."""

_NAMED = re.compile(r"invalid \"?(\w+)\"? value:|for connection option \"(\w+)\"|invalid (port) number|weak (sslmode)")

KEYWORDS = frozenset(option.keyword.decode() for option in Conninfo.parse(b""))
"""The names of libpq's connection parameters."""


class PostgresRefused(PostgresRefusal):
    """A connection to PostgreSQL that was made but does not fit this service."""

    def __init__(self, cause: Causes) -> None:
        super().__init__(cause.value.text)
        self.cause = cause


class SqliteRefused(sqlite3.OperationalError):
    """A connection to SQLite that was made but does not fit this service."""

    def __init__(self, cause: Causes) -> None:
        super().__init__(cause.value.text)
        self.cause = cause


def cause_by_words(text: str) -> Causes:
    """Return the cause that a text of libpq's or PostgreSQL's gives for a failed connection."""
    bare = re.sub(r"\"[^\"]*\"|'[^'\n]*'", "''", text)  # the names of hosts, files and users could be such words
    return next((cause for words, cause in _WORDS if re.search(words, bare)), Causes.UNKNOWN)


def parameter_by_words(text: str) -> str:
    """Return the connection parameter whose value such a text refuses; empty if it does not say."""
    found = _NAMED.search(text)
    if found and found.lastindex:
        name = found[found.lastindex]
        return name if name in KEYWORDS else ""
    if "session is not read-only" in text or "is not in hot standby" in text:
        return "target_session_attrs"
    return "options" if "FATAL" in text else ""
