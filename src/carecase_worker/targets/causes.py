"""Causes of target database outages, each with its remedy.

They are the same for all dialects. Each dialect has a table that maps errors to causes.
"""

from enum import Enum

from carecase_worker.errors import Cause


class Causes(Enum):
    """The distinguished causes."""

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
    VERSION = Cause("version", "its version is not supported")  # a failure adds the lowest that is
    UNKNOWN = Cause("unknown", "does not do its part: see its log")
