"""Each error of a driver: what becomes of the item, and which cause the operator sees, for every code that there is.

The codes are PostgreSQL's (appendix A of its documentation, as psycopg knows them) and SQLite's ("Result and Error
Codes"); what they should mean follows from `docs/contract.md` (207 Multi-Status) and from
`docs/operations/database-away.md`.
"""

import re
import sqlite3
from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import InvalidRequestError, OperationalError, SQLAlchemyError

from carecase_worker.errors import FailureKind
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.dialects.failures import Errors
from carecase_worker.targets.dialects.postgresql.errors import PostgresRefused
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.dialects.sqlite.errors import SqliteRefused

AWAY, CONTENTION = FailureKind.AWAY, FailureKind.CONTENTION
CONFLICT, REFUSED, TOO_SLOW = FailureKind.CONFLICT, FailureKind.REFUSED, FailureKind.TOO_SLOW
DATABASE_AWAY = Path(__file__).parents[2] / "docs" / "operations" / "database-away.md"

CLASSES = {
    # the database's: the chunk waits, nobody's item is refused
    "08": (AWAY, "broken"),  # connection exception
    "25": (AWAY, "unknown"),  # invalid transaction state
    "28": (AWAY, "not-admitted"),  # invalid authorization specification
    "3D": (AWAY, "no-database"),  # invalid catalog name
    "3F": (AWAY, "no-schema"),  # invalid schema name
    "42": (AWAY, "schema"),  # syntax error or access rule violation
    "53": (AWAY, "resources"),  # insufficient resources
    "55": (AWAY, "unknown"),  # object not in prerequisite state
    "57": (AWAY, "unknown"),  # operator intervention
    "58": (AWAY, "fault"),  # system error
    "XX": (AWAY, "fault"),  # internal error
    # nobody's: the transaction again, at once
    "40": (CONTENTION, "unknown"),  # transaction rollback
    # the item's own: 409
    "23": (CONFLICT, None),  # integrity constraint violation
    "44": (CONFLICT, None),  # with check option violation
    # the item's, though not to mend by it: 500
    **dict.fromkeys(
        (
            "02", "03", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "24", "26", "27", "2B", "2D",
            "2F", "34", "38", "39", "3B", "54", "72", "F0", "HV", "P0",
        ),
        (REFUSED, None),
    ),
}  # fmt: skip
CODES = {
    "25006": (AWAY, "read-only"),  # read_only_sql_transaction
    "25P03": (AWAY, "stopped"),  # idle_in_transaction_session_timeout
    "25P04": (AWAY, "stopped"),  # transaction_timeout
    "28P01": (AWAY, "password"),  # invalid_password
    "42501": (AWAY, "privilege"),  # insufficient_privilege
    "53100": (AWAY, "disk-full"),  # disk_full
    "53300": (AWAY, "connections"),  # too_many_connections
    "55P03": (TOO_SLOW, "timeout"),  # lock_not_available: one lock is no reason to leave the database alone
    "57014": (TOO_SLOW, "timeout"),  # query_canceled
    "57P01": (AWAY, "stopped"),  # admin_shutdown
    "57P02": (AWAY, "stopped"),  # crash_shutdown
    "57P03": (AWAY, "starting"),  # cannot_connect_now
    "57P04": (AWAY, "stopped"),  # database_dropped
    "57P05": (AWAY, "stopped"),  # idle_session_timeout
}
SQLITE = {
    "SQLITE_ABORT": (AWAY, "unknown"),
    "SQLITE_AUTH": (AWAY, "no-file"),
    "SQLITE_BUSY": (CONTENTION, "timeout"),
    "SQLITE_CANTOPEN": (AWAY, "no-file"),
    "SQLITE_CONSTRAINT": (CONFLICT, None),
    "SQLITE_CORRUPT": (AWAY, "damaged"),
    "SQLITE_EMPTY": (AWAY, "unknown"),
    "SQLITE_ERROR": (AWAY, "schema"),  # no such table or column
    "SQLITE_FORMAT": (AWAY, "unknown"),
    "SQLITE_FULL": (AWAY, "disk-full"),
    "SQLITE_INTERNAL": (AWAY, "unknown"),
    "SQLITE_INTERRUPT": (TOO_SLOW, "timeout"),
    "SQLITE_IOERR": (AWAY, "fault"),
    "SQLITE_LOCKED": (CONTENTION, "timeout"),
    "SQLITE_MISMATCH": (REFUSED, None),
    "SQLITE_MISUSE": (AWAY, "unknown"),
    "SQLITE_NOLFS": (AWAY, "unknown"),
    "SQLITE_NOMEM": (AWAY, "resources"),
    "SQLITE_NOTADB": (AWAY, "damaged"),
    "SQLITE_NOTFOUND": (AWAY, "unknown"),
    "SQLITE_NOTICE": (AWAY, "unknown"),
    "SQLITE_PERM": (AWAY, "no-file"),
    "SQLITE_PROTOCOL": (AWAY, "unknown"),
    "SQLITE_RANGE": (AWAY, "unknown"),
    "SQLITE_READONLY": (AWAY, "read-only"),
    "SQLITE_SCHEMA": (AWAY, "schema"),
    "SQLITE_TOOBIG": (REFUSED, None),
    "SQLITE_WARNING": (AWAY, "unknown"),
}
"""By the primary result code; an extended one begins with it."""
SQLITE_EXTENDED = {"SQLITE_CONSTRAINT_TRIGGER": (REFUSED, None)}  # RAISE in a trigger, for a reason of its own

KNOWN: list[str] = sorted(
    {
        str(one.sqlstate)
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, psycopg.Error) and vars(one).get("sqlstate")
    }
)
LATER = ["08ZZZ", "2212X", "23ZZ9", "40ZZZ", "4250X", "42ZZ9", "53999", "5310X", "55P0X", "57ZZZ", "5701X", "XXZZZ"]
"""Codes that a later version may have: they mean what their class does."""
SQLITE_NAMES = sorted(name for name in dir(sqlite3) if "_".join(name.split("_")[:2]) in SQLITE)

SAID = [
    # PostgreSQL's while it lets nobody in (src/backend: postinit.c, auth.c, postmaster.c, proc.c), by way of libpq
    ("FATAL:  password authentication failed for user \"u\"", "password"),
    ("FATAL:  role \"u\" does not exist", "password"),
    ("fe_sendauth: no password supplied", "password"),
    ("malformed SCRAM message (incomplete)", "password"),
    ("FATAL:  no pg_hba.conf entry for host \"h\", user \"u\", database \"d\", no encryption", "not-admitted"),
    ("FATAL:  pg_hba.conf rejects connection for host \"h\", user \"u\", database \"d\"", "not-admitted"),
    ("FATAL:  Peer authentication failed for user \"u\"", "not-admitted"),
    ("FATAL:  certificate authentication failed for user \"u\"", "not-admitted"),
    ("FATAL:  role \"u\" is not permitted to log in", "not-admitted"),
    ("FATAL:  database \"d\" is not currently accepting connections", "not-accepting"),
    ("FATAL:  permission denied for database \"d\"", "privilege"),
    ("FATAL:  database \"d\" does not exist", "no-database"),
    ("FATAL:  the database system is starting up", "starting"),
    ("FATAL:  the database system is shutting down", "starting"),
    ("FATAL:  the database system is in recovery mode", "starting"),
    ("FATAL:  the database system is not yet accepting connections", "starting"),
    ("FATAL:  the database system is not accepting connections", "starting"),
    ("FATAL:  sorry, too many clients already", "connections"),
    ("FATAL:  too many connections for role \"u\"", "connections"),
    ("FATAL:  too many connections for database \"timeout\"", "connections"),
    ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "connections"),
    # libpq's own (src/interfaces/libpq) and the resolver's
    ("server is in hot standby mode", "standby"),
    ("session is read-only", "read-only"),
    ("server does not support SSL, but SSL was required", "no-tls"),
    ("FATAL:  SSL is required", "no-tls"),
    ("SSL error: certificate verify failed", "certificate"),
    ("SSL error: unexpected eof while reading", "certificate"),
    ("could not initialize TLS", "certificate"),
    ("server certificate for \"a\" does not match host name \"b\"", "certificate"),
    ("private key file \"/k\" has group or world access; file must have permissions u=rw (0600)", "certificate"),
    ("failed to resolve host 'h': [Errno -2] Name or service not known", "unknown-host"),
    ("could not translate host name \"h\" to address: Temporary failure in name resolution", "unknown-host"),
    ("could not translate host name \"h\" to address: No address associated with hostname", "unknown-host"),
    ("[Errno -2] Name or service not known", "unknown-host"),
    ("[Errno -3] Temporary failure in name resolution", "unknown-host"),
    ("connection to server at \"ssl-timeout\" (10.0.0.1), port 1 failed: Connection refused", "refused"),
    ("connection to server on socket \"/run/certificate\" failed: No such file or directory", "refused"),
    ("Is the server running locally and accepting connections on that socket?", "refused"),
    ("No route to host", "unreachable"),
    ("Network is unreachable", "unreachable"),
    ("connection timeout expired", "timeout"),
    ("could not receive data from server: Connection timed out", "timeout"),
    ("definition of service \"s\" not found", "service"),
    ("syntax error in service file \"/f\", line 3", "service"),
    ("server closed the connection unexpectedly", "broken"),
    ("could not receive data from server: Connection reset by peer", "broken"),
    ("could not send SSL negotiation packet: Connection reset by peer", "broken"),
    ("could not send startup packet: Broken pipe", "broken"),
    ("SSL SYSCALL error: EOF detected", "broken"),
    ("the connection is lost", "broken"),
    ("the connection is closed", "broken"),
    ("Passwort-Authentifizierung fehlgeschlagen", "unknown"),
    ("", "unknown"),
]  # fmt: skip
BAD_PARAMETERS = [
    ('invalid sslmode value: "bogus"', "sslmode"),
    ('invalid "ssl_min_protocol_version" value: "TLSv9"', "ssl_min_protocol_version"),
    ('invalid integer value "abc" for connection option "keepalives_idle"', "keepalives_idle"),
    ('invalid port number: "99999"', "port"),
    ('weak sslmode "prefer" may not be used with sslrootcert=system (use "verify-full")', "sslmode"),
    ("invalid SSL protocol version range", ""),
    ('could not parse network address "1.2.3": Name or service not known', ""),
    ('invalid secret value: "x"', ""),
    ("session is not read-only", "target_session_attrs"),
    ("server is not in hot standby mode", "target_session_attrs"),
    ("FATAL:  invalid command-line argument for server process: garbage", "options"),
    ("FATAL:  -c geqo requires a value", "options"),
    ('FATAL:  unrecognized configuration parameter "geqoo"', "options"),
    ('FATAL:  invalid value for parameter "work_mem": "much"', "options"),
    ('FATAL:  parameter "port" cannot be changed without restarting the server', "options"),
    ('FATAL:  permission denied to set parameter "log_statement"', "options"),
]


def wrapped(original: Exception) -> OperationalError:
    return OperationalError("", {}, original)


def postgres(code: str | None, message: str = "words that nobody is to be told") -> OperationalError:
    return wrapped(type("Raised", (psycopg.Error,), {"sqlstate": code})(message))


def sqlite(name: str) -> OperationalError:
    error = sqlite3.OperationalError("words that nobody is to be told")
    error.sqlite_errorname = name
    return wrapped(error)


def errors_of(error: SQLAlchemyError) -> Errors:
    """The errors of the dialect that raises it."""
    raised = [
        dialect.errors
        for dialect in DIALECTS.values()
        if isinstance(getattr(error, "orig", None), dialect.errors.raised)
    ]
    return raised[0] if raised else DIALECTS["postgresql"].errors


def meaning(error: SQLAlchemyError, more: str = "") -> tuple[FailureKind, str | None]:
    """The kind, and the short name of the cause. The text is the cause's and `told`, and no more."""
    errors = errors_of(error)
    failure = errors.failure_of(error)
    assert errors.classify(error) is failure.kind
    text = failure.cause.text if failure.cause else f"target database: {failure.kind.value}"
    assert str(failure) == (f"{text} ({more})" if more else text)
    return failure.kind, failure.cause.name if failure.cause else None


def test_every_code_is_looked_at() -> None:
    assert len(KNOWN) > 200
    assert {code[:2] for code in KNOWN} == set(CLASSES)
    assert set(CODES) <= set(KNOWN)
    assert set(SQLITE) | set(SQLITE_EXTENDED) <= set(SQLITE_NAMES)
    assert len(SQLITE_NAMES) > 90


@pytest.mark.parametrize("code", [*KNOWN, *LATER])
def test_an_sqlstate(code: str) -> None:
    assert meaning(postgres(code), code) == CODES.get(code, CLASSES[code[:2]])


@pytest.mark.parametrize("code", ["ZZ999", "99000", "U0001", "5"])
def test_an_sqlstate_of_a_class_that_nobody_knows_is_the_items(code: str) -> None:
    assert meaning(postgres(code), code) == (REFUSED, None)


@pytest.mark.parametrize("name", [*SQLITE_NAMES, "SQLITE_FULL_LATER"])
def test_a_result_code_of_sqlite(name: str) -> None:
    primary = "_".join(name.split("_")[:2])
    assert meaning(sqlite(name), name) == SQLITE_EXTENDED.get(name, SQLITE[primary])


def test_a_result_code_of_sqlite_that_nobody_knows_is_the_databases() -> None:
    assert meaning(sqlite("SQLITE_LATER"), "SQLITE_LATER") == (AWAY, "unknown")
    assert meaning(wrapped(sqlite3.ProgrammingError("without a code"))) == (AWAY, "unknown")


@pytest.mark.parametrize(("message", "cause"), SAID)
def test_words_before_a_session_is_there(message: str, cause: str) -> None:
    assert meaning(postgres(None, f"connection failed: {message}")) == (AWAY, cause)


@pytest.mark.parametrize(("message", "parameter"), BAD_PARAMETERS)
def test_a_bad_value_of_a_parameter_is_reported_by_the_parameters_name(message: str, parameter: str) -> None:
    assert meaning(postgres(None, f"connection failed: {message}"), parameter) == (AWAY, "parameter")


def test_a_connection_that_is_not_good_for_this_service_has_the_cause_that_was_found() -> None:
    assert meaning(wrapped(PostgresRefused(Causes.POOLER))) == (AWAY, "pooler")
    assert meaning(wrapped(SqliteRefused(Causes.VERSION))) == (AWAY, "version")
    assert meaning(wrapped(errors.ConnectionTimeout('connection failed: "certificate"'))) == (AWAY, "timeout")


def test_an_error_of_no_driver_is_the_databases() -> None:
    for error in (InvalidRequestError("words"), wrapped(ValueError("words"))):
        assert meaning(error) == (AWAY, "unknown")


@pytest.mark.parametrize(
    ("code", "cause"),
    [("53100", "disk-full"), ("P0001", "unknown"), ("23514", "unknown"), ("SQLITE_ERROR", "schema"), ("", "unknown")],
)
def test_a_database_that_refuses_every_item_is_away_whatever_its_code(code: str, cause: str) -> None:
    failure = DIALECTS["sqlite" if code.startswith("SQLITE") else "postgresql"].errors.away(code)
    assert failure.kind is AWAY
    assert failure.cause is not None
    assert failure.cause.name == cause
    assert str(failure) == (f"{failure.cause.text} ({code})" if code else failure.cause.text)


def test_the_page_about_absent_databases_has_every_cause_by_its_name_and_words() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \|", DATABASE_AWAY.read_text(), flags=re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(cause.value.name for cause in Causes)
    texts = {cause.value.name: cause.value.text for cause in Causes}
    assert [name for name, begins in rows if not texts[name].startswith(begins)] == []
