"""URLs of target databases: one grammar per supported scheme.

This is the only module outside `targets/dialects` that knows their schemes: settings are checked before anything is
opened, and import no driver (decision 0028). A test compares the schemes with the registered dialects.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from carecase_worker.settings.urls.parts import ENCODED, URL, check_host, check_port, has_control, is_port

_TARGET = re.compile(
    r"(?P<scheme>\w+)(?:\+\w+)?://"
    r"(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<host>\[[^/?]+\]|[^/:?]+)?(?::(?P<port>[^/?]*))?"
    r"(?:/(?P<path>[^?]*))?(?:\?(?P<query>.*))?"
)
"""The same as SQLAlchemy's own."""


@dataclass(frozen=True, slots=True)
class TargetScheme:
    """The URLs of one kind of target database."""

    example: str
    check: Callable[[str, "re.Match[str]"], None]
    """Check a URL and its parts. Raises ValueError with what it should be."""
    parts: "re.Pattern[str]"
    """The pattern of the parts of a URL that may be shown."""
    no_password: str = ""
    """The reason why a password is impossible; empty if it is possible."""


def target_has_password(text: str) -> bool:
    """Return whether the URL of a target database has a password beside its user."""
    found = _TARGET.fullmatch(text)
    return bool(found and found["password"])


def password_fault(text: str) -> str:
    """Return the reason why a target database cannot have a password; empty if it can."""
    return SCHEMES[scheme_of(text)].no_password


def scheme_of(text: str) -> str:
    """Return the scheme of a URL, without the driver."""
    return re.split(r"[+:]", text, maxsplit=1)[0]


def target_url(text: str) -> str:
    """Check the URL of a target database, in the form of SQLAlchemy."""
    found = _TARGET.fullmatch(text)
    if found is None or found["scheme"] not in SCHEMES or has_control(unquote(text)):
        raise ValueError(f"{_targets()}; {ENCODED}")
    SCHEMES[found["scheme"]].check(text, found)
    return text


def _check_sqlite(text: str, found: "re.Match[str]") -> None:
    should = "must be sqlite:///path, or sqlite:////path from the root, of a file"
    if not re.match(r"sqlite(\+\w+)?:///[^?]", text):
        raise ValueError(f"{should}; a database in memory would be lost, and each process would have its own")
    path = found["path"] or ""
    if path == ":memory:" or path.endswith("/"):
        raise ValueError(f"{should}; a database in memory would be lost, and each process would have its own")
    if "?" in text:
        raise ValueError(f"{should}, without options after a ?")


def _check_postgres(_: str, found: "re.Match[str]") -> None:
    for one in (found["host"] or "").split(",") if found["host"] else ():
        check_host(one, _targets())
    check_port(found["port"], _targets())
    options = parse_qsl(found["query"] or "")
    names = {name for name, _ in options}
    if not found["path"] and not names & {"dbname", "service"}:
        raise ValueError(f"{_targets()}: the name of the database is missing")
    hosts = [value for name, value in options if name == "host"]
    ports = [value for name, value in options if name == "port"]
    if not _is_matching(hosts, ports):
        raise ValueError("must list several hosts as ?host=a:5432&host=b:5432, or as ?host=a,b&port=5432,5432")


def _is_matching(hosts: Sequence[str], ports: Sequence[str]) -> bool:
    """Return whether the hosts and ports of the options match."""
    numbers = [number for value in ports for number in value.split(",")]
    if len(ports) > 1 or not all(is_port(number) for number in numbers):
        return False
    if len(hosts) > 1:
        return not ports and all(re.fullmatch(r"[^:]+(:[0-9]{1,5})?", one) for one in hosts)
    if hosts and ":" in hosts[0]:
        return not ports and re.fullmatch(r"[A-Za-z0-9.-]+:[0-9]{1,5}", hosts[0]) is not None
    hosts_count = len(hosts[0].split(",")) if hosts else 1
    return not ports or len(numbers) == hosts_count


def _targets() -> str:
    return f"must be {' or '.join(scheme.example for scheme in SCHEMES.values())}"


SCHEMES = {
    "postgresql": TargetScheme("postgresql://user@host:5432/database", _check_postgres, _TARGET),
    "sqlite": TargetScheme("sqlite:///path", _check_sqlite, URL, "is not for SQLite, which has none; leave it out"),
}
"""The supported schemes."""
