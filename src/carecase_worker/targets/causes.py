"""Causes of target database outages, each with its remedy.

They are the same for all dialects. Each dialect has a table that maps errors to causes.
"""

from enum import Enum

from carecase_worker.errors import Cause


class Causes(Enum):
    """The distinguished causes."""

    PASSWORD = Cause("password", "rejects the user or the password: check url and password")
    NOT_ADMITTED = Cause(
        "not-admitted", "no pg_hba.conf rule admits this user or host: add one, or use TLS (sslmode=require)"
    )
    NO_DATABASE = Cause("no-database", "does not exist on that server: create it, or check the URL")
    NOT_ACCEPTING = Cause("not-accepting", "does not allow connections: run ALTER DATABASE … ALLOW_CONNECTIONS true")
    UNKNOWN_HOST = Cause("unknown-host", "host name not found: check the URL and this machine's DNS")
    REFUSED = Cause("refused", "refuses connections: check that it runs, and check the URL")
    UNREACHABLE = Cause("unreachable", "no route to its host: check the network and the URL")
    TIMEOUT = Cause("timeout", "does not respond in time: check that it runs, its load and the network")
    NO_TLS = Cause(
        "no-tls", "does not support TLS, which sslmode requires: enable TLS on the server, or change sslmode"
    )
    CERTIFICATE = Cause(
        "certificate", "TLS certificate not valid: check sslrootcert, sslcert, sslkey and the host name"
    )
    STARTING = Cause("starting", "is starting up, shutting down or recovering: wait, or see its log")
    STANDBY = Cause(
        "standby",
        "is in recovery (a standby) and takes no writes: name the primary, or set target_session_attrs=read-write",
    )
    READ_ONLY = Cause("read-only", "takes no writes: check its read-only settings, or the file's permissions")
    CONNECTIONS = Cause("connections", "has no free connection: raise max_connections, or run fewer workers")
    PRIVILEGE = Cause(
        "privilege",
        "the user lacks a privilege: grant SELECT, INSERT, UPDATE and DELETE on the tables, and CREATE on the schema"
        " for carecase db upgrade",
    )
    NO_SCHEMA = Cause(
        "no-schema",
        "the first schema of the search path does not exist, or the user may not use it:"
        " run CREATE SCHEMA or GRANT USAGE, or correct the path",
    )
    SCHEMA = Cause("schema", "its tables do not fit this version: run carecase db check")
    DISK_FULL = Cause("disk-full", "its disk is full: free some space")
    RESOURCES = Cause("resources", "is out of memory or another resource: see its log")
    STOPPED = Cause(
        "stopped", "closed the connection: the server stopped or restarted, or an administrator ended the session"
    )
    BROKEN = Cause("broken", "connection lost: check that the database runs, and check the network")
    DAMAGED = Cause("damaged", "is not a SQLite database, or is damaged: restore it from a backup")
    NO_FILE = Cause(
        "no-file",
        "its file does not exist or cannot be opened: check its path and the permissions of its directory, and run"
        " carecase db check",
    )
    FAULT = Cause("fault", "has an internal error: see its log")
    SERVICE = Cause("service", "no service file has the service that its URL names: check PGSERVICEFILE")
    PARAMETER = Cause(
        "parameter",
        "a connection parameter has an invalid value: check the URL, PG… variables and the service file",
    )
    SESSION = Cause(
        "session",
        "PGOPTIONS or a service file overrides session settings of carecase: remove that,"
        " and use statement_timeout_seconds and lock_timeout_seconds",
    )
    POOLER = Cause(
        "pooler",
        "a connection pooler lends out sessions that other clients have changed: name the server itself",
    )
    VERSION = Cause("version", "its version is not supported")  # a failure adds the lowest that is
    UNKNOWN = Cause("unknown", "fails for an unknown reason: see its log")
