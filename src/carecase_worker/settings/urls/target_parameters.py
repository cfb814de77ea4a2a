"""Parameters in a target database's URL that contradict other settings. Pure, independent of drivers."""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from urllib.parse import parse_qs

_SESSION = {
    "statement_timeout": "is statement_timeout_seconds of the database",
    "lock_timeout": "is lock_timeout_seconds of the database",
    "idle_in_transaction_session_timeout": "follows statement_timeout_seconds of the database",
    "client_connection_check_interval": "is set by carecase",
    "timezone": "is always UTC",
    "client_encoding": "is always UTF8",
    "synchronous_commit": "is always on",
}
"""PostgreSQL settings that carecase sets for its sessions, each with the message for a URL that also sets it."""

_ALWAYS = {"timezone": "UTC", "client_encoding": "UTF8", "synchronous_commit": "on"}
_WITHOUT_WRITES = frozenset({"read-only", "standby", "prefer-standby"})
_SECRET = frozenset({"password", "sslpassword"})
_MAY_REPEAT = frozenset({"host", "port"})


def connect_timeout(url: str, usual: timedelta) -> timedelta:
    """Return the connect timeout of a URL, or `usual` if it has none; timedelta.max stands for no timeout."""
    given = parse_qs(url.partition("?")[2], keep_blank_values=True).get("connect_timeout")
    if given is None:
        return usual
    seconds = int(given[-1]) if re.fullmatch("[0-9]{1,9}", given[-1]) else 0  # libpq takes 0 and less for no timeout
    return timedelta(seconds=seconds) if seconds else timedelta.max


def secret_parameters(url: str) -> set[str]:
    """Return the names of the parameters of a URL that are passwords."""
    return set(parse_qs(url.partition("?")[2])) & _SECRET


def contradictions(url: str, given: Collection[str]) -> Iterator[str]:
    """Yield the mistakes in the parameters of a URL; `given` are the database's settings that the user has set."""
    parameters = parse_qs(url.partition("?")[2], keep_blank_values=True)
    for name in sorted(set(parameters) - _MAY_REPEAT):
        if len(parameters[name]) > 1:
            yield f"has {name} more than once; write one"
    for name in changed_settings(parameters.get("options", [""])[-1], _ALWAYS):
        yield f"sets {name} in its options, which {_SESSION[name]}; remove it"
    encoding = parameters.get("client_encoding", [""])[-1]
    if encoding.lower().replace("-", "") not in ("", "utf8"):
        yield f"sets client_encoding, which {_SESSION['client_encoding']}; remove it"
    if parameters.get("target_session_attrs", [""])[-1] in _WITHOUT_WRITES:
        yield "requests a read-only server by target_session_attrs; make it read-write, or remove it"
    if "connect_timeout" in parameters and "connect_timeout" in given:
        yield "has connect_timeout, and connect_timeout_seconds of the database is set as well; set one of them"


def changed_settings(options: str, ours: Mapping[str, str]) -> list[str]:
    """Return the names, in lower case, of session settings that libpq's `options` set to a value other than ours."""
    same = {name.lower(): value.lower() for name, value in ours.items()}
    return sorted(
        {
            name
            for name, value in _assignments(_words(options))
            if name in _SESSION and same.get(name) != value.strip("'").lower()
        }
    )


def _words(options: str) -> list[str]:
    """Split libpq's `options` into words at white space; a backslash escapes the character that follows it."""
    words, word, kept = [], "", False
    for character in options:
        if kept:
            word, kept = word + character, False
        elif character == "\\":
            kept = True
        elif character.isspace():
            words.append(word)
            word = ""
        else:
            word += character
    return [one for one in [*words, word] if one]


def _assignments(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield name in lower case and value of each `-c name=value`, `-cname=value` and `--name=value`."""
    following = iter(words)
    for word in following:
        if word.startswith(("--", "-c")):
            assignment = word[2:] or next(following, "")
            name, _, value = assignment.partition("=")
            yield name.replace("-", "_").lower(), value
