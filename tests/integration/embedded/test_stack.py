"""What an embedded system consists of: its secrets, its ports, stack.json and the settings of its roles, whole."""

import hashlib
import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import SecretStr
from tests.integration.embedded.stacks import NOW, PORTS, Noon
from tests.needs import lack

from carecase_worker.embedded.stack import (
    FIRST_PORTS,
    Ports,
    Secrets,
    Stack,
    choose_ports,
    keep_ports,
    ports_of,
    running_stack,
    secrets_of,
)
from carecase_worker.errors import StackError
from carecase_worker.settings.loading import load
from carecase_worker.settings.sections.access import JwtSettings

SECRETS = Secrets("r", "a", "f", "p", "w", "j" * 64, {"demo": "cck_demo", "other": "cck_other"})


def stack_in(place: Path) -> Stack:
    return Stack(place, PORTS, SECRETS)


def page_of(place: Path, tokens: JwtSettings | None = None) -> Any:
    """The stack.json of a system in a directory."""
    processes = {"up": 100, "redis": [101], "worker": [104, 105]}
    stack_in(place).write(processes, tokens or JwtSettings(secret=SecretStr(SECRETS.jwt)), Noon())
    return json.loads((place / "stack.json").read_text())


def test_the_page_is_as_scripts_rely_on_it(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    bearers = [client.pop("bearer") for client in page["clients"]]
    assert page == {
        "intake": {"url": "http://127.0.0.1:8081"},
        "flower": {"url": "http://127.0.0.1:5556/flower", "user": "flower", "password": "w"},
        "redis": {"url": "redis://default:r@127.0.0.1:6380/0", "broker_prefix": "b:"},
        "databases": {
            "demo": {"url": "postgresql+psycopg://postgres:p@127.0.0.1:5433/demo", "dialect": "postgresql"},
            "demo_sqlite": {"url": f"sqlite:///{tmp_path}/demo.sqlite", "dialect": "sqlite"},
        },
        "clients": [
            {"name": "demo", "api_key": "cck_demo", "databases": ["demo", "demo_sqlite"]},
            {"name": "other", "api_key": "cck_other", "databases": ["demo"]},
        ],
        "processes": {"up": 100, "redis": [101], "worker": [104, 105]},
    }
    year = (NOW + timedelta(days=365)).timestamp()
    unchecked: Any = {"verify_exp": False, "verify_iat": False}
    assert [jwt.decode(bearer, SECRETS.jwt, ["HS256"], options=unchecked) for bearer in bearers] == [
        {"sub": name, "client_id": name, "iat": NOW.timestamp(), "exp": year} for name in ("demo", "other")
    ]
    assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"], "no draft is left"


def test_its_tokens_are_for_the_issuer_and_audience_that_the_intake_asks_for(tmp_path: Path) -> None:
    tokens = JwtSettings(secret=SecretStr(SECRETS.jwt), issuer="https://issuer.example", audience="carecase")
    for client in page_of(tmp_path, tokens)["clients"]:
        claims = jwt.decode(
            client["bearer"],
            SECRETS.jwt,
            ["HS256"],
            audience="carecase",
            issuer="https://issuer.example",
            options={"verify_exp": False, "verify_iat": False},
        )
        assert claims["client_id"] == client["name"]


@pytest.mark.parametrize("config", [None, Path("/etc/carecase.toml")])
def test_the_page_of_a_running_system_leads_back_to_it(tmp_path: Path, config: Path | None) -> None:
    secrets = secrets_of(tmp_path)
    Stack(tmp_path, PORTS, secrets, config).write({}, JwtSettings(secret=SecretStr(secrets.jwt)), Noon())
    assert running_stack(tmp_path / "stack.json") == Stack(tmp_path, PORTS, secrets, config)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        ("", "it was not written by carecase up"),
        ("[]", "it was not written by carecase up"),
        ("{}", "it was not written by carecase up"),
        ('{"intake": "x"}', "it was not written by carecase up"),
    ],
)
def test_a_page_that_cannot_be_read_is_reported(tmp_path: Path, content: str | None, reason: str) -> None:
    page = tmp_path / "stack.json"
    if content is not None:
        page.write_text(content)
    with pytest.raises(StackError) as raised:
        running_stack(page)
    assert str(raised.value) == (
        f"{page}: cannot be read ({reason}). Start carecase up there again, or name a file with --config."
    )


def test_a_page_of_somebody_else_is_not_followed(tmp_path: Path) -> None:
    """The file of settings that it names could lead to any database, and secrets would be written beside it."""
    if os.geteuid():
        lack("only root can give a file to somebody else")
    page_of(tmp_path)
    os.chown(tmp_path / "stack.json", 12345, 12345)
    with pytest.raises(StackError) as raised:
        running_stack(tmp_path / "stack.json")
    text = "belongs to another user, so it is not used. Name a file with --config."
    assert str(raised.value) == f"{tmp_path / 'stack.json'}: {text}"
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_the_roles_get_these_settings(tmp_path: Path) -> None:
    def digest(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()

    environment = stack_in(tmp_path).environment()
    assert environment == {
        "CARECASE_INTAKE_HOST": "127.0.0.1",
        "CARECASE_INTAKE_PORT": "8081",
        "CARECASE_REDIS_URL": "redis://carecase:a@127.0.0.1:6380/0",
        "CARECASE_REDIS_PREFIX": "c:",
        "CARECASE_BROKER_PREFIX": "b:",
        "CARECASE_AUDIT_DIRECTORY": f"{tmp_path}/audit",
        "CARECASE_JWT_SECRET": "j" * 64,
        "CARECASE_FLOWER_HOST": "127.0.0.1",
        "CARECASE_FLOWER_PORT": "5556",
        "CARECASE_FLOWER_USER": "flower",
        "CARECASE_FLOWER_URL_PREFIX": "flower",
        "CARECASE_FLOWER_PASSWORD": "w",
        "CARECASE_FLOWER_BROKER_URL": "redis://flower:f@127.0.0.1:6380/0",
        "CARECASE_DATABASES_DEMO_URL": "postgresql+psycopg://postgres:p@127.0.0.1:5433/demo",
        "CARECASE_DATABASES_DEMO_SQLITE_URL": f"sqlite:///{tmp_path}/demo.sqlite",
        "CARECASE_CLIENTS_DEMO_API_KEY_SHA256": digest("cck_demo"),
        "CARECASE_CLIENTS_DEMO_DATABASES": "demo,demo_sqlite",
        "CARECASE_CLIENTS_OTHER_API_KEY_SHA256": digest("cck_other"),
        "CARECASE_CLIENTS_OTHER_DATABASES": "demo",
    }
    settings = load(environment=environment)
    assert (settings.intake.rate_per_second, settings.intake.rate_burst) == (25, 50), "the published rate"
    assert settings.intake.require == "both"


def test_secrets_are_made_once_each_of_its_own_and_for_the_owner_only(tmp_path: Path) -> None:
    made = secrets_of(tmp_path)
    assert secrets_of(tmp_path) == made
    values = [made.redis, made.redis_app, made.redis_flower, made.postgres, made.flower, made.jwt]
    values += made.api_keys.values()
    assert len(set(values)) == 8
    assert all(len(value) >= 32 for value in values), "192 bits at least, 6 to a letter"
    assert made.api_keys.keys() == {"demo", "other"}
    assert all(key.startswith("cck_") for key in made.api_keys.values())
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    other = tmp_path / "other"
    other.mkdir()
    assert secrets_of(other).redis != made.redis


def test_a_directory_of_an_earlier_version_gets_what_it_lacks_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"redis": "old", "jwt": "old-too"}))
    made = secrets_of(tmp_path)
    assert (made.redis, made.jwt) == ("old", "old-too")
    assert len(made.redis_app) >= 32
    assert secrets_of(tmp_path) == made


def test_ports_that_cannot_be_read_are_those_of_a_first_start(tmp_path: Path) -> None:
    assert Ports(8080, 5555, 0, 0, 9090) == FIRST_PORTS
    assert ports_of(tmp_path) == FIRST_PORTS
    for content in ("", "[]", "5", "{}", '{"intake": 1, "other": 2}'):
        (tmp_path / "ports.json").write_text(content)
        assert ports_of(tmp_path) == FIRST_PORTS
    keep_ports(tmp_path, PORTS)
    assert ports_of(tmp_path) == PORTS


def taken() -> socket.socket:
    """A port that a program listens on."""
    return socket.create_server(("127.0.0.1", 0))


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


@contextmanager
def free_ports() -> Iterator[Ports]:
    """Ports of an earlier start on which nobody listens now, nor will: they are bound, so nobody else is given them."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in fields(Ports)]
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
        yield Ports(*map(port_of, sockets))


def test_the_ports_of_the_last_start_are_taken_again_where_they_are_free() -> None:
    with free_ports() as usual, taken() as server:
        assert choose_ports(None, usual) == usual
        assert choose_ports(usual.redis, Ports(usual.intake, usual.flower, 0, 0)).intake == usual.redis
        port = port_of(server)
        chosen = choose_ports(None, Ports(port, usual.flower, port, usual.postgres))
    assert (chosen.flower, chosen.postgres) == (usual.flower, usual.postgres)
    assert len({port, chosen.intake, chosen.flower, chosen.redis, chosen.postgres}) == 5


def test_two_parts_never_get_one_port() -> None:
    with free_ports() as usual:
        port = usual.redis
        chosen = choose_ports(port, Ports(intake=1, flower=port, redis=port, postgres=port))
    assert len({chosen.intake, chosen.flower, chosen.redis, chosen.postgres}) == 4
    assert chosen.intake == port


def test_a_port_that_was_asked_for_and_is_taken_is_reported() -> None:
    with taken() as server, pytest.raises(StackError) as raised:
        choose_ports(port := port_of(server))
    text = "is taken by another program. Choose another one with --port, or leave it out."
    assert str(raised.value) == f"Port {port} {text}"
