"""Refusals to connect to PostgreSQL, classified by their text.

Errors of an established connection have codes. Errors before that have none: psycopg keeps only libpq's text. The cause
is then found by patterns in that text, which is never passed on.
"""

import re

from psycopg.pq import Conninfo

from carecase_worker.targets.causes import Causes

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
    (r"(negotiation|startup) packet|SSL SYSCALL error: (EOF|Connection reset|Broken pipe)", Causes.BROKEN),
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


def cause_by_words(text: str) -> Causes:
    """Return the cause of a failed connection by the text of libpq or PostgreSQL."""
    bare = re.sub(r"\"[^\"]*\"|'[^'\n]*'", "''", text)  # the names of hosts, files and users could be such words
    return next((cause for words, cause in _WORDS if re.search(words, bare)), Causes.UNKNOWN)


def parameter_by_words(text: str) -> str:
    """Return the connection parameter whose value such a text rejects; empty if it names none."""
    found = _NAMED.search(text)
    if found and found.lastindex:
        name = found[found.lastindex]
        return name if name in KEYWORDS else ""
    if "session is not read-only" in text or "is not in hot standby" in text:
        return "target_session_attrs"
    return "options" if "FATAL" in text else ""
