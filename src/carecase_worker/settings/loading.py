"""TOML and environment to frozen settings. The one place that reads the environment.

Every setting has a place in the file (`[intake] port`) and a name in the environment (`CARECASE_INTAKE_PORT`),
which wins. A secret comes from the environment or from a file of its own (`CARECASE_JWT_SECRET`, or
`CARECASE_JWT_SECRET_FILE` with a path), never from the TOML file.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from carecase_worker.errors import SettingsError
from carecase_worker.settings.model import ClientSettings, DatabaseSettings, JwtSettings, Section, Settings

PREFIX = "CARECASE_"
CLIENT_VARIABLES = frozenset({"CARECASE_URL", "CARECASE_API_KEY", "CARECASE_TOKEN", "CARECASE_DATABASE"})
CONFIG_VARIABLE = "CARECASE_CONFIG"
LEASE_MARGIN = timedelta(seconds=5)
"""By how much a lease outlasts an attempt: the hard time limit, and the way to Redis."""

_NAMED: dict[str, type[Section]] = {"databases": DatabaseSettings, "clients": ClientSettings}
_PLAIN: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
_LISTS = frozenset({"databases", "api_key_sha256", "cors_origins", "algorithms"})


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from a TOML file and the environment. Raises SettingsError that names every mistake.

    Without `path`, the file is what CARECASE_CONFIG names, if anything; without `environment`, it is the process's.
    """
    variables = dict(os.environ) if environment is None else dict(environment)
    named = variables.pop(CONFIG_VARIABLE, None)
    file = path or (Path(named) if named else None)
    tree = _read(file) if file else {}
    mistakes = list(_secrets_in_file(tree))
    mistakes += _overlay(tree, variables)
    mistakes += _unknown_databases(tree)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        mistakes += [_mistake(tuple(map(str, detail["loc"])), detail["type"], detail["msg"]) for detail in details]
        raise SettingsError("\n".join(mistakes)) from None
    mistakes += _contradictions(settings)
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return settings


def client_variables() -> dict[str, str]:
    """What the environment says to the command line's client, by the variables' names."""
    return {name: os.environ[name] for name in CLIENT_VARIABLES if os.environ.get(name)}


def settings_variables() -> dict[str, str]:
    """The settings in the environment, by the variables' names; not the client's."""
    known = (name for name in os.environ if name.startswith(PREFIX) and name not in CLIENT_VARIABLES)
    return {name: os.environ[name] for name in known if name != CONFIG_VARIABLE}


def process_environment() -> dict[str, str]:
    """A copy of the environment without this service's settings; for starting child processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def leaves() -> Iterator[tuple[str, str, str]]:
    """Every setting: its section (`databases.<name>` for the named ones), its name, what it is."""
    for section, model in _PLAIN.items():
        for leaf, text in _leaves_of(model):
            yield section, leaf, text
    for section, model in _NAMED.items():
        for leaf, text in _leaves_of(model):
            yield f"{section}.<name>", leaf, text


def _leaves_of(model: type[Section]) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, field.description or ""


def _secret_leaves(model: type[Section]) -> set[str]:
    return {
        name
        for name, field in model.model_fields.items()
        if SecretStr in (field.annotation, *get_args(field.annotation))
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); name the file with --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None


def _sections(tree: Mapping[str, Any]) -> Iterator[tuple[str, str | None, type[Section], Any]]:
    """Every section of the file: its name, the name under it if it has one, its model, what it holds."""
    for section, model in _PLAIN.items():
        yield section, None, model, tree.get(section, {})
    for section, model in _NAMED.items():
        held = tree.get(section, {})
        for name, values in held.items() if isinstance(held, dict) else ():
            yield section, name, model, values


def _secrets_in_file(tree: Mapping[str, Any]) -> Iterator[str]:
    """The mistakes of secrets that stand in the TOML file."""
    for section, name, model, values in _sections(tree):
        for leaf in sorted(_secret_leaves(model)):
            value = values.get(leaf) if isinstance(values, dict) else None
            if value is None or ("url" in leaf and not _has_password(value)):
                continue
            place = ".".join(part for part in (section, name, leaf) if part)
            variable = _variable(section, name, leaf)
            yield f"{place}: a secret does not belong in the file; set {variable}, or {variable}_FILE to a file with it"


def _has_password(url: object) -> bool:
    try:
        return bool(isinstance(url, str) and urlsplit(url).password)
    except ValueError:
        return False


def _variable(section: str, name: str | None, leaf: str) -> str:
    parts = [section, name, leaf] if name else [section, leaf]
    return PREFIX + "_".join(re.sub(r"\W", "_", part) for part in parts if part).upper()


def _overlay(tree: dict[str, Any], variables: Mapping[str, str]) -> list[str]:
    """Put the environment over the file's tree; the mistakes of variables that are no settings."""
    mistakes = []
    for variable, value in sorted(variables.items()):
        if not variable.startswith(PREFIX) or variable in CLIENT_VARIABLES:
            continue
        found = _place(variable, tree)
        if found is None:
            mistakes.append(f"{variable}: no such setting{_nearest(variable, _known_variables(tree))}")
            continue
        section, name, leaf, from_file = found
        try:
            held = Path(value).read_text("utf-8").strip() if from_file else value
        except OSError as error:
            mistakes.append(f"{variable}: the file it names cannot be read ({error.strerror})")
            continue
        branch = tree.setdefault(section, {})
        if name and isinstance(branch, dict):
            branch = branch.setdefault(name, {})
        if isinstance(branch, dict):  # if it is not, the model says so
            branch[leaf] = [part for part in held.split(",") if part] if leaf in _LISTS else held
    return mistakes


def _place(variable: str, tree: Mapping[str, Any]) -> tuple[str, str | None, str, bool] | None:
    """Section, name, leaf of a variable, and whether it names a file with the value; None if it is no setting."""
    for section, model in _PLAIN.items():
        for leaf, _ in _leaves_of(model):
            known = _variable(section, None, leaf)
            if variable == known:
                return section, None, leaf, False
            if variable == f"{known}_FILE" and leaf in _secret_leaves(model):
                return section, None, leaf, True
    return _named_place(variable, tree)


def _named_place(variable: str, tree: Mapping[str, Any]) -> tuple[str, str | None, str, bool] | None:
    for section, model in _NAMED.items():
        for leaf, _ in sorted(_leaves_of(model), key=lambda pair: -len(pair[0])):
            for suffix in ("_FILE", "") if leaf in _secret_leaves(model) else ("",):
                match = re.fullmatch(f"{PREFIX}{section.upper()}_(.+)_{leaf.upper()}{suffix}", variable)
                if match:
                    held = tree.get(section, {})
                    held = held if isinstance(held, dict) else {}
                    names = {re.sub(r"\W", "_", name).upper(): name for name in held}
                    return section, names.get(match[1], match[1].lower()), leaf, bool(suffix)
    return None


def _known_variables(tree: Mapping[str, Any]) -> list[str]:
    return [
        _variable(section, name, leaf) for section, name, model, _ in _sections(tree) for leaf, _ in _leaves_of(model)
    ]


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _mistake(place: tuple[str, ...], kind: str, message: str) -> str:
    """One line for one of pydantic's errors."""
    setting = ".".join(place)
    if kind != "extra_forbidden":
        return f"{setting}: {message[:1].lower()}{message[1:]} (in the environment: {PREFIX}{'_'.join(place).upper()})"
    parent, word = place[:-1], place[-1]
    if not parent:
        return f"{setting}: no such section{_nearest(word, list(Settings.model_fields))}"
    known = [leaf for leaf, _ in _leaves_of(_PLAIN.get(parent[0]) or _NAMED[parent[0]])]
    return f"{setting}: no such setting{_nearest(word, known)}"


def _unknown_databases(tree: Mapping[str, Any]) -> Iterator[str]:
    """The mistakes of clients that are granted a database which is not configured."""
    held = tree.get("databases", {})
    known = held if isinstance(held, dict) else {}
    for section, name, _, values in _sections(tree):
        granted = values.get("databases", ()) if section == "clients" and isinstance(values, dict) else ()
        for database in granted if isinstance(granted, list) else ():
            if database not in known:
                there = ", ".join(known) or "none"
                yield f"clients.{name}.databases: {database!r} is not a configured database (there are: {there})"


def _contradictions(settings: Settings) -> list[str]:
    """The mistakes that lie between settings."""
    mistakes = []
    if settings.jobs.lease < settings.worker.chunk_deadline + LEASE_MARGIN:
        least = (settings.worker.chunk_deadline + LEASE_MARGIN).total_seconds()
        mistakes.append(
            f"jobs.lease_seconds: must be at least {least:g}, that is worker.chunk_deadline_seconds and 5 s"
        )
    mistakes += [
        f"redis.{name}: is no file"
        for name in ("ca_file", "cert_file", "key_file")
        if (path := getattr(settings.redis, name)) is not None and not path.is_file()
    ]
    return mistakes + list(_jwt_contradictions(settings.jwt))


def _jwt_contradictions(jwt: JwtSettings) -> Iterator[str]:
    secret, url = jwt.secret, urlsplit(jwt.jwks_url or "")
    if not jwt.algorithms:
        yield "jwt.algorithms: must have one of HS256, RS256 and ES256"
    if secret is not None and len(secret.get_secret_value().encode()) < 32:
        yield "jwt.secret: must have at least 32 bytes; make one with: openssl rand -hex 32"
    if secret is not None and "HS256" not in jwt.algorithms:
        yield "jwt.secret: is for HS256, which jwt.algorithms does not allow; leave it out, or allow HS256"
    wants_keys = set(jwt.algorithms) != {"HS256"}
    if wants_keys != (jwt.jwks_file is not None or jwt.jwks_url is not None):
        yield "jwt.algorithms: RS256 and ES256 need jwt.jwks_file or jwt.jwks_url, and these need one of the two"
    if jwt.jwks_file is not None and jwt.jwks_url is not None:
        yield "jwt.jwks_url: there is jwt.jwks_file already; set one of them"
    if jwt.jwks_file is not None and not jwt.jwks_file.is_file():
        yield "jwt.jwks_file: is no file"
    if jwt.jwks_url is not None and url.scheme != "https" and url.hostname not in ("127.0.0.1", "localhost", "::1"):
        yield "jwt.jwks_url: must be https://, or http:// on this machine"
