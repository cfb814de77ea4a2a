"""The embedded system's secrets and ports, and stack.json, the file that describes it."""

import hashlib
import json
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from carecase_worker.clock import Clock
from carecase_worker.embedded.servers import BROKER_PREFIX, JOBS_PREFIX, write_private
from carecase_worker.errors import StackError
from carecase_worker.ownership import is_trusted
from carecase_worker.settings.sections.access import JwtSettings
from carecase_worker.settings.urls.targets import scheme_of
from carecase_worker.store.redis.acl import APP, FLOWER
from carecase_worker.tokens import Bearer, sign

STACK_FILE = "stack.json"
_PORTS_FILE = "ports.json"
CLIENTS: Mapping[str, tuple[str, ...]] = {"demo": ("demo", "demo_sqlite"), "other": ("demo",)}
_TOKEN_LIFETIME = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The passwords and keys of one data directory, generated once and stored there."""

    redis: str
    redis_app: str
    redis_flower: str
    postgres: str
    flower: str
    jwt: str
    api_keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that the parts listen on, at 127.0.0.1."""

    intake: int
    flower: int
    redis: int
    postgres: int
    prometheus: int = 0


FLOWER_USER = "flower"
FIRST_PORTS = Ports(intake=8080, flower=5555, redis=0, postgres=0, prometheus=9090)
"""Ports of a first start; 0 is any free port."""


def secrets_of(data_dir: Path) -> Secrets:
    """Read the secrets of a data directory, and generate missing ones."""
    file = data_dir / "secrets.json"
    passwords = ("redis", "redis_app", "redis_flower", "postgres", "flower")
    made: dict[str, Any] = {name: secrets.token_urlsafe(24) for name in passwords}
    made["jwt"] = secrets.token_urlsafe(48)
    made["api_keys"] = {name: f"cck_{secrets.token_urlsafe(24)}" for name in CLIENTS}
    stored = json.loads(file.read_text("utf-8")) if file.exists() else {}
    if set(made) - set(stored):  # a directory of an earlier version lacks some
        write_private(file, json.dumps({**made, **stored}))
    return Secrets(**{**made, **stored})


def choose_ports(intake: int | None, usual: Ports = FIRST_PORTS) -> Ports:
    """Choose the given port, or else the usual ones, and free ones where these are taken. Raises StackError."""
    if intake is not None and not _is_free(intake):
        raise StackError(f"Port {intake} is taken by another program. Choose another one with --port, or leave it out.")
    wanted = replace(usual, intake=usual.intake if intake is None else intake)
    free = free_local_ports(len(fields(Ports)))
    chosen: list[int] = []
    for port, other in zip(astuple(wanted), free, strict=True):
        chosen.append(port if port and port not in chosen and _is_free(port) else other)
    return Ports(*chosen)


def ports_of(data_dir: Path) -> Ports:
    """Read the ports of the last start in a data directory; those of a first start if there was none."""
    file = data_dir / _PORTS_FILE
    try:
        return Ports(**json.loads(file.read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return FIRST_PORTS


def keep_ports(data_dir: Path, ports: Ports) -> None:
    """Store the ports, so that the next start uses the same ones."""
    write_private(data_dir / _PORTS_FILE, json.dumps(asdict(ports)) + "\n")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_local_ports(count: int) -> list[int]:
    """Return unused ports of this machine."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@dataclass(frozen=True, slots=True)
class Stack:
    """One embedded system: its addresses and credentials."""

    data_dir: Path
    ports: Ports
    secrets: Secrets
    config: Path | None = None
    """The file of settings that it was started with."""

    def redis_url(self, user: str = "default") -> str:
        """Return the URL of Valkey for one of its users."""
        return f"redis://{user}:{self.redis_passwords()[user]}@127.0.0.1:{self.ports.redis}/0"

    def redis_passwords(self) -> dict[str, str]:
        """Return the passwords of Valkey's users."""
        return {"default": self.secrets.redis, APP: self.secrets.redis_app, FLOWER: self.secrets.redis_flower}

    def database_urls(self) -> dict[str, str]:
        """Return the URL of each target database."""
        return {"demo": self.postgres_url("demo"), "demo_sqlite": f"sqlite:///{self.data_dir / 'demo.sqlite'}"}

    def postgres_url(self, database: str) -> str:
        """Return the URL of a database of the embedded PostgreSQL."""
        return f"postgresql+psycopg://postgres:{self.secrets.postgres}@127.0.0.1:{self.ports.postgres}/{database}"

    def environment(self) -> dict[str, str]:
        """Return the settings of every role, as environment variables."""
        variables = {
            "CARECASE_INTAKE_HOST": "127.0.0.1",
            "CARECASE_INTAKE_PORT": str(self.ports.intake),
            "CARECASE_REDIS_URL": self.redis_url(APP),
            "CARECASE_REDIS_PREFIX": JOBS_PREFIX,
            "CARECASE_BROKER_PREFIX": BROKER_PREFIX,
            "CARECASE_AUDIT_DIRECTORY": str(self.data_dir / "audit"),
            "CARECASE_JWT_SECRET": self.secrets.jwt,
            "CARECASE_FLOWER_HOST": "127.0.0.1",
            "CARECASE_FLOWER_PORT": str(self.ports.flower),
            "CARECASE_FLOWER_USER": FLOWER_USER,
            "CARECASE_FLOWER_URL_PREFIX": "flower",
            "CARECASE_FLOWER_PASSWORD": self.secrets.flower,
            "CARECASE_FLOWER_BROKER_URL": self.redis_url(FLOWER),
        }
        for name, url in self.database_urls().items():
            variables[f"CARECASE_DATABASES_{name.upper()}_URL"] = url
        for name, databases in CLIENTS.items():
            digest = hashlib.sha256(self.secrets.api_keys[name].encode()).hexdigest()
            variables[f"CARECASE_CLIENTS_{name.upper()}_API_KEY_SHA256"] = digest
            variables[f"CARECASE_CLIENTS_{name.upper()}_DATABASES"] = ",".join(databases)
        return variables

    def clients(self, tokens: JwtSettings, now: datetime) -> list[dict[str, Any]]:
        """Return the clients as in stack.json: name, credentials valid from now on, databases."""
        return [
            {
                "name": name,
                "api_key": self.secrets.api_keys[name],
                "bearer": sign(Bearer(name, name, now + _TOKEN_LIFETIME), tokens, now),
                "databases": list(databases),
            }
            for name, databases in CLIENTS.items()
        ]

    def write(self, processes: Mapping[str, Any], tokens: JwtSettings, clock: Clock) -> None:
        """Write stack.json atomically, readable only by its owner."""
        urls = self.database_urls()
        page = {
            "intake": {"url": f"http://127.0.0.1:{self.ports.intake}"},
            "flower": {
                "url": f"http://127.0.0.1:{self.ports.flower}/flower",
                "user": FLOWER_USER,
                "password": self.secrets.flower,
            },
            "redis": {"url": self.redis_url(), "broker_prefix": BROKER_PREFIX},
            "databases": {name: {"url": url, "dialect": scheme_of(url)} for name, url in urls.items()},
            "clients": self.clients(tokens, clock.now()),
            "processes": processes,
        }
        if self.config is not None:
            page["config"] = str(self.config)
        if "prometheus" in processes:
            page["prometheus"] = {"url": f"http://127.0.0.1:{self.ports.prometheus}"}
        write_private(self.data_dir / STACK_FILE, json.dumps(page, indent=2) + "\n")


def running_stack(stack_file: Path) -> Stack:
    """Read the system that a stack.json of this user or root describes. Raises StackError if that cannot be done."""
    data_dir = stack_file.parent.resolve()
    try:
        with stack_file.open(encoding="utf-8") as file:
            if not is_trusted(file):
                fault = "belongs to another user, so it is not used. Name a file with --config."
                raise StackError(f"{stack_file}: {fault}")
            page = json.load(file)
        urls = [page[part]["url"] for part in ("intake", "flower", "redis")] + [page["databases"]["demo"]["url"]]
        intake, flower, redis, postgres = (urlsplit(url).port or 0 for url in urls)
        config = Path(page["config"]) if "config" in page else None
        return Stack(data_dir, Ports(intake, flower, redis, postgres), secrets_of(data_dir), config)
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it was not written by carecase up"
        raise StackError(
            f"{stack_file}: cannot be read ({reason}). Start carecase up there again, or name a file with --config."
        ) from None
