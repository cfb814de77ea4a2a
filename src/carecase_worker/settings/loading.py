"""Loading of frozen settings from TOML and environment; the only module that reads the environment.

Every setting has a place in the file (`[intake] port`) and a name in the environment (`CARECASE_INTAKE_PORT`),
which wins. A secret comes from the environment or from a separate file (`CARECASE_JWT_SECRET`, or
`CARECASE_JWT_SECRET_FILE` with a path), never from the TOML file.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from carecase_worker.errors import SettingsError
from carecase_worker.settings.contradictions import contradictions
from carecase_worker.settings.kinds import should_be
from carecase_worker.settings.model import Settings
from carecase_worker.settings.overlay import Overlay, overlay, secrets_in_file
from carecase_worker.settings.places import NAMED, PLAIN, PREFIX, Place, nearest, sections
from carecase_worker.settings.sections.files import FileSettings

CLIENT_VARIABLES = frozenset({"CARECASE_URL", "CARECASE_API_KEY", "CARECASE_TOKEN", "CARECASE_DATABASE"})
CONFIG_VARIABLE = "CARECASE_CONFIG"


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Load the settings from a TOML file and the environment. Raises SettingsError with every mistake.

    `path` defaults to the file that CARECASE_CONFIG names, if any; `environment` to that of the process.
    """
    variables = dict(os.environ) if environment is None else environment
    file = path or _named_file(variables)
    tree = _read(file) if file else {}
    mistakes = list(secrets_in_file(tree))
    done = overlay(tree, _settings_among(variables))
    mistakes += done.mistakes
    mistakes += _unknown_databases(tree)
    settings, faults = _validated(tree)
    mistakes += [_line(place, text, done) for place, text in faults.items()]
    for found in contradictions(settings):
        if not any(_is_within(place, faults) for place in (found.place, *found.others)):
            mistakes.append(_line(found.place, found.text, done))
    if mistakes:
        raise SettingsError("\n".join(map(printable, mistakes)))
    return settings


def sources(path: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Describe the sources that `load` reads, for messages about the configuration in use."""
    variables = dict(os.environ) if environment is None else environment
    file, count = path or _named_file(variables), len(_settings_among(variables))
    named = "--config" if path else CONFIG_VARIABLE
    source = f"{file} ({named})" if file else f"no file (neither --config nor {CONFIG_VARIABLE} names one)"
    return printable(f"{source}, and {count or 'no'} {'variable' if count == 1 else 'variables'} {PREFIX}…")


def named_file() -> Path | None:
    """Return the file that CARECASE_CONFIG names; None if it is not set."""
    return _named_file(os.environ)


def client_variables() -> dict[str, str]:
    """Return the environment variables of the command line's client, by name."""
    return {name: os.environ[name] for name in CLIENT_VARIABLES if os.environ.get(name)}


def settings_variables() -> dict[str, str]:
    """Return the environment variables that are settings, by name, without the client's."""
    return _settings_among(os.environ)


def process_environment() -> dict[str, str]:
    """Return a copy of the environment without this service's settings; for starting child processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def printable(text: str) -> str:
    """Escape the unprintable characters and line ends of a text."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _settings_among(variables: Mapping[str, str]) -> dict[str, str]:
    others = CLIENT_VARIABLES | {CONFIG_VARIABLE}
    return {name: value for name, value in variables.items() if name.startswith(PREFIX) and name not in others}


def _named_file(variables: Mapping[str, str]) -> Path | None:
    named = variables.get(CONFIG_VARIABLE, "").strip()
    return Path(named) if named else None


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8-sig")  # some editors begin a file with a byte order mark
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); name the file with --config") from None
    except ValueError:
        raise SettingsError(printable(f"{path}: is not TOML, which is text in UTF-8")) from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise SettingsError(printable(f"{path}: is not TOML: {reason}")) from None


def _validated(tree: dict[str, Any]) -> tuple[Settings, dict[Place, str]]:
    """Return the settings without the invalid ones, and a text for each invalid one by its place."""
    faults: dict[Place, str] = {}
    while True:
        try:
            return Settings.model_validate(tree), faults
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                place, text = _fault(detail)
                faults.setdefault(place, text)
                _drop(tree, place[:-1] if detail["type"] == "missing" else place)


def _fault(detail: ErrorDetails) -> tuple[Place, str]:
    """Return the place of a pydantic error, and the text that describes a valid value."""
    place = tuple(str(part) for part in detail["loc"])
    section, depth = place[0], 3 if place[0] in NAMED else 2
    if place[-1] == "[key]" and len(place) == 3:
        return place[:2], "a name has letters, digits, _ and - only, 64 at most"
    model = (PLAIN | NAMED).get(section)
    if model is None:
        return place, f"no such section{nearest(section, Settings.model_fields)}"
    if len(place) < depth:
        return place, f"must be a section, as [{'.'.join((*place, 'NAME')[: depth - 1])}]"
    leaf = place[depth - 1]
    if (section, leaf) == ("clients", "files"):
        return _fault_of_file(place, detail)
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    if leaf not in known:
        return place, f"no such setting{nearest(leaf, known)}"
    if detail["type"] == "missing":
        return place, "is missing"
    own = detail["msg"].removeprefix("Value error, ") if detail["type"] == "value_error" else ""
    return place[:depth], own or should_be(known[leaf])


def _fault_of_file(place: Place, detail: ErrorDetails) -> tuple[Place, str]:
    """Return the place and the text of a mistake in a mapping, whose section is nested deeper than others."""
    depth = len(("clients", "NAME", "files", "NAME", "setting"))
    if place[-1] == "[key]" and len(place) == depth:
        return place[: depth - 1], "a name has letters, digits, _ and - only, 64 at most"
    if len(place) < depth:
        return place, f"must be a section, as [{'.'.join((*place, 'NAME')[: depth - 1])}]"
    leaf, known = place[depth - 1], FileSettings.model_fields
    if leaf not in known:
        return place[:depth], f"no such setting{nearest(leaf, known)}"
    own = detail["msg"].removeprefix("Value error, ") if detail["type"] == "value_error" else ""
    return place[:depth], own or should_be(known[leaf])


def _drop(tree: dict[str, Any], place: Place) -> None:
    """Remove a place from the tree, unless its section was already removed."""
    branch = tree
    for part in place[:-1]:
        branch = branch.get(part, {})
    branch.pop(place[-1], None)


def _line(place: Place, text: str, done: Overlay) -> str:
    """Format a mistake, with its setting's name in the file or the environment."""
    variable = done.variables.get(place)
    return f"{'.'.join(place)}: {text}{f' (in the environment: {variable})' if variable else ''}"


def _is_within(place: Place, faults: Mapping[Place, str]) -> bool:
    return any(place[: len(fault)] == fault for fault in faults)


def _unknown_databases(tree: Mapping[str, Any]) -> Iterator[str]:
    """Yield a mistake for each database granted to a client that is not configured."""
    databases = tree.get("databases", {})
    known = databases if isinstance(databases, dict) else {}
    for place, _, values in sections(tree):
        granted = values.get("databases", ()) if place[0] == "clients" and isinstance(values, dict) else ()
        for database in granted if isinstance(granted, list) else ():
            if isinstance(database, str) and database not in known:
                there = ", ".join(known) or "none"
                yield f"{'.'.join(place)}.databases: {database!r} is not a configured database (there are: {there})"
