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
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from carecase_worker.errors import SettingsError

PREFIX = "CARECASE_"
CLIENT_VARIABLES = frozenset({"CARECASE_URL", "CARECASE_API_KEY", "CARECASE_TOKEN", "CARECASE_DATABASE"})
CONFIG_VARIABLE = "CARECASE_CONFIG"

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def _seconds(name: str, default: float, text: str) -> Any:
    return Field(timedelta(seconds=default), alias=f"{name}_seconds", gt=timedelta(0), description=text)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False, hide_input_in_errors=True)


class IntakeSettings(_Section):
    """The HTTP side."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: Port = Field(8080, description="Port to listen on; 0 takes a free one")
    processes: Count = Field(1, description="Intake processes on this machine")
    max_items: Annotated[int, Field(ge=1, le=1_000_000)] = Field(1_000_000, description="Items in one batch")
    max_body_bytes: Count = Field(1 << 30, description="Size of a decoded body")
    max_item_bytes: Count = Field(256 << 10, description="Size of one item")
    require: Literal["both", "either"] = Field(
        "both", description="Whether callers need an API key and a bearer token, or one of them"
    )
    require_user_agent: bool = Field(False, description="Refuse requests without User-Agent")
    spool_dir: Path | None = Field(None, description="Where large bodies are spooled; the system's default if unset")


class RedisSettings(_Section):
    """The job store."""

    url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey with the job store")
    prefix: str = Field("c:", description="What every key of the job store starts with")
    durability: Literal["fsync", "relaxed"] = Field(
        "fsync", description="fsync: answer 202 only once the batch is on disk; relaxed: do not insist"
    )


class BrokerSettings(_Section):
    """Celery's broker: it carries doorbells, never data."""

    url: SecretStr | None = Field(None, description="The broker; the job store's Redis if unset")
    prefix: str = Field("b:", description="What every key of the broker starts with")


class JobSettings(_Section):
    """How batches become chunks, and how long jobs are kept."""

    chunk_items: Annotated[int, Field(ge=1, le=10_000)] = Field(1000, description="Items in a chunk, at most")
    chunk_bytes: Count = Field(4 << 20, description="Size of a chunk before compression, at most (one item may be larger)")
    width: Annotated[int, Field(ge=1, le=1000)] = Field(8, description="Chunks of one job that are open at a time")
    max_backlog_jobs: Count = Field(10_000, description="Unfinished jobs, after which the intake answers 503")
    max_backlog_bytes: Count = Field(2 << 30, description="Compressed bytes of unfinished jobs, likewise")
    retention: timedelta = _seconds("retention", 7 * 86_400, "How long a final job's result is kept")
    retry_deadline: timedelta = _seconds(
        "retry_deadline", 86_400, "How long a database may be away before its items get 503"
    )
    lease: timedelta = _seconds("lease", 15, "How long a claimed chunk is left to its worker")
    ring_again: timedelta = _seconds("ring_again", 2, "How long an open chunk waits before it is rung for again")


class WorkerSettings(_Section):
    """The side that applies chunks."""

    concurrency: Count = Field(2, description="Pool processes of one worker")
    sweep: timedelta = _seconds("sweep", 1, "How often a worker looks for chunks nobody rings for")
    chunk_deadline: timedelta = _seconds("chunk_deadline", 10, "How long one attempt at a chunk may take")


class DatabaseSettings(_Section):
    """One target database; its name in the file is what clients send in `vbasoftware-database`."""

    url: SecretStr = Field(description="SQLAlchemy URL; a password belongs in the environment or in password_file")
    password: SecretStr | None = Field(None, description="Password for the URL; by environment or file only")
    connect_timeout: timedelta = _seconds("connect_timeout", 3, "How long opening a connection may take")
    statement_timeout: timedelta = _seconds("statement_timeout", 8, "How long one statement may take")
    lock_timeout: timedelta = _seconds("lock_timeout", 3, "How long one statement waits for a lock")


class ClientSettings(_Section):
    """One API client; its jobs are its own."""

    api_key_sha256: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        (), description="SHA-256 of each of its API keys, in hex"
    )
    databases: tuple[str, ...] = Field((), description="The databases it may use")


class JwtSettings(_Section):
    """How bearer tokens are checked."""

    secret: SecretStr | None = Field(None, description="HS256 secret, 32 bytes or more; by environment or file only")
    audience: str | None = Field(None, description="What `aud` must hold, if anything")
    issuer: str | None = Field(None, description="What `iss` must be, if anything")
    leeway: timedelta = _seconds("leeway", 30, "Clock skew that is forgiven")


class FlowerSettings(_Section):
    """The operators' page."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: Port = Field(5555, description="Port to listen on")
    url_prefix: str = Field("flower", description="Path under which it is served")
    user: str = Field("flower", description="User of the page")
    password: SecretStr | None = Field(None, description="Password of the page; by environment or file only")
    broker_url: SecretStr | None = Field(None, description="The broker as Flower's own, lesser user; the broker's URL if unset")


class LogSettings(_Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged")
    format: Literal["json", "console"] = Field("json", description="One JSON object a line, or lines for people")


class Settings(_Section):
    """Everything that can be configured."""

    intake: IntakeSettings = IntakeSettings()
    redis: RedisSettings = RedisSettings()
    broker: BrokerSettings = BrokerSettings()
    jobs: JobSettings = JobSettings()
    worker: WorkerSettings = WorkerSettings()
    jwt: JwtSettings = JwtSettings()
    flower: FlowerSettings = FlowerSettings()
    log: LogSettings = LogSettings()
    databases: Mapping[Name, DatabaseSettings] = {}
    clients: Mapping[Name, ClientSettings] = {}

    @property
    def broker_url(self) -> str:
        """The broker's URL, with its password."""
        return (self.broker.url or self.redis.url).get_secret_value()


_NAMED: dict[str, type[_Section]] = {"databases": DatabaseSettings, "clients": ClientSettings}
_PLAIN: dict[str, type[_Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, _Section)
}


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from a TOML file and the environment. Raises SettingsError that names every mistake.

    Without `path`, the file is what CARECASE_CONFIG names, if it is set; without `environment`, it is the process's own.
    """
    variables = dict(os.environ) if environment is None else dict(environment)
    named = variables.pop(CONFIG_VARIABLE, None)
    file = path or (Path(named) if named else None)
    tree = _read(file) if file else {}
    mistakes = list(_secrets_in_file(tree))
    mistakes += _overlay(tree, variables)
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


def _leaves_of(model: type[_Section]) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, field.description or ""


def _secret_leaves(model: type[_Section]) -> set[str]:
    return {
        name for name, field in model.model_fields.items() if SecretStr in (field.annotation, *get_args(field.annotation))
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); name the file with --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None


def _sections(tree: Mapping[str, Any]) -> Iterator[tuple[str, str | None, type[_Section], Any]]:
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
            yield f"{place}: a secret does not belong in the file; set {variable}, or {variable}_FILE to a file that holds it"


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
        if name:
            branch = branch.setdefault(name, {})
        branch[leaf] = held.split(",") if leaf in ("databases", "api_key_sha256") else held
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
                    names = {re.sub(r"\W", "_", name).upper(): name for name in held}
                    return section, names.get(match[1], match[1].lower()), leaf, bool(suffix)
    return None


def _known_variables(tree: Mapping[str, Any]) -> list[str]:
    return [_variable(section, name, leaf) for section, name, model, _ in _sections(tree) for leaf, _ in _leaves_of(model)]


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


def _contradictions(settings: Settings) -> list[str]:
    """The mistakes that lie between settings."""
    mistakes = []
    for name, client in settings.clients.items():
        for database in client.databases:
            if database not in settings.databases:
                known = ", ".join(settings.databases) or "none"
                mistakes.append(f"clients.{name}.databases: {database!r} is not a configured database (there are: {known})")
    if settings.jobs.lease <= settings.worker.chunk_deadline:
        mistakes.append("jobs.lease_seconds: must be longer than worker.chunk_deadline_seconds, or two workers do the same work")
    secret = settings.jwt.secret
    if secret is not None and len(secret.get_secret_value().encode()) < 32:
        mistakes.append("jwt.secret: must have at least 32 bytes; make one with: openssl rand -hex 32")
    return mistakes
