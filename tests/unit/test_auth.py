"""Who a caller is, from its API key and its bearer token."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import jwt
import pytest

from carecase_worker.errors import AccessFault, AccessRefused
from carecase_worker.intake.auth import Caller, Gate, granted
from carecase_worker.settings.model import ClientSettings, JwtSettings

SECRET = "s" * 32
KEY = "the key"
CLIENTS = {
    name: ClientSettings(api_key_sha256=(hashlib.sha256(key.encode()).hexdigest(),), databases=("d",))
    for name, key in (("ann", KEY), ("bob", "another key"))
}
TOKENS = JwtSettings.model_validate({"secret": SECRET, "audience": "carecase", "issuer": "us"})


def gate(require: Literal["both", "either"] = "both", tokens: JwtSettings = TOKENS) -> Gate:
    return Gate(CLIENTS, tokens, require)


def token(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"sub": "user", "client_id": "ann", "aud": "carecase", "iss": "us"}
    claims |= {"exp": datetime.now(UTC) + timedelta(minutes=5), **changes}
    made = jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, algorithm=algorithm)
    return f"Bearer {made}"


def test_key_and_token_tell_client_and_user() -> None:
    assert gate().caller(KEY, token()) == Caller("ann", "user", frozenset({"d"}))


def test_a_token_without_client_is_the_keys() -> None:
    assert gate().caller(KEY, token(client_id=None)).client == "ann"


def test_a_user_fits_the_audit_fields() -> None:
    assert gate().caller(KEY, token(sub="u" * 30)).user == "u" * 20


@pytest.mark.parametrize(
    ("api_key", "authorization"),
    [
        ("wrong", token()),
        ("another key", token()),
        ("another key", token(client_id="ann")),
        (KEY, token(client_id="nobody")),
        (KEY, token("x" * 32)),
        (KEY, token(algorithm="HS512", secret="s" * 64)),
        (KEY, "Bearer " + jwt.encode({"sub": "user"}, None, algorithm="none")),
        (KEY, token(exp=datetime.now(UTC) - timedelta(minutes=5))),
        (KEY, token(exp=None)),
        (KEY, token(nbf=datetime.now(UTC) + timedelta(minutes=5))),
        (KEY, token(aud="others")),
        (KEY, token(iss="others")),
        (KEY, token(client_id=["ann"])),
        (KEY, token(sub="a\0b")),
        (KEY, token()[:-3]),
        (KEY, "Basic dXNlcjp3b3Jk"),
        (KEY, "Bearer"),
    ],
)
def test_anything_wrong_is_nobody(api_key: str, authorization: str) -> None:
    for require in ("both", "either"):
        with pytest.raises(AccessRefused) as refused:
            gate(require).caller(api_key, authorization)
        assert refused.value.fault is AccessFault.BAD_CREDENTIALS


@pytest.mark.parametrize(("api_key", "authorization"), [(None, token()), (KEY, None), (None, None), ("", "")])
def test_both_are_required_unless_one_is_said_to_do(api_key: str | None, authorization: str | None) -> None:
    with pytest.raises(AccessRefused) as refused:
        gate().caller(api_key, authorization)
    assert refused.value.fault is AccessFault.NO_CREDENTIALS
    if api_key or authorization:
        assert gate("either").caller(api_key, authorization).client == "ann"


def test_without_a_secret_no_token_is_believed() -> None:
    with pytest.raises(AccessRefused):
        gate(tokens=JwtSettings()).caller(KEY, token())


def test_a_database_must_be_granted() -> None:
    caller = Caller("ann", "user", frozenset({"d"}))
    assert granted(caller, "d") == "d"
    with pytest.raises(AccessRefused):
        granted(caller, "e")
