"""What `carecase up` says of itself in stack.json."""

import json
from pathlib import Path

import jwt
from pydantic import SecretStr

from carecase_worker.clock import SystemClock
from carecase_worker.embedded.stack import FIRST_PORTS, Stack, keep_ports, ports_of, secrets_of
from carecase_worker.settings.model import JwtSettings


def test_its_tokens_are_for_the_issuer_and_audience_that_the_intake_asks_for(tmp_path: Path) -> None:
    stack = Stack(tmp_path, FIRST_PORTS, secrets_of(tmp_path))
    tokens = JwtSettings(secret=SecretStr(stack.secrets.jwt), issuer="https://issuer.example", audience="carecase")
    stack.write({}, tokens, SystemClock())
    for client in json.loads((tmp_path / "stack.json").read_text())["clients"]:
        claims = jwt.decode(
            client["bearer"], stack.secrets.jwt, ["HS256"], audience="carecase", issuer="https://issuer.example"
        )
        assert claims["client_id"] == client["name"]


def test_ports_that_cannot_be_read_are_those_of_a_first_start(tmp_path: Path) -> None:
    assert ports_of(tmp_path) == FIRST_PORTS
    for content in ("", "[]", "5", "{}", '{"intake": 1, "other": 2}'):
        (tmp_path / "ports.json").write_text(content)
        assert ports_of(tmp_path) == FIRST_PORTS
    keep_ports(tmp_path, FIRST_PORTS)
    assert ports_of(tmp_path) == FIRST_PORTS
