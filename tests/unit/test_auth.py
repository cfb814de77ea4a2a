"""Who a caller is, from its API key and its bearer token."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.builders import a_key_pair, a_key_set

from carecase_worker.errors import AccessFault, AccessRefused
from carecase_worker.intake.auth import Caller, Gate, granted
from carecase_worker.intake.key_set import KeySet
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


def token(secret: Any = SECRET, algorithm: str = "HS256", headers: Any = None, **changes: Any) -> str:
    claims = {"sub": "user", "client_id": "ann", "aud": "carecase", "iss": "us"}
    claims |= {"exp": datetime.now(UTC) + timedelta(days=1), **changes}
    made = jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, algorithm=algorithm, headers=headers)
    return f"Bearer {made}"


def forged(algorithm: str, key_id: str, key: Any) -> list[str]:
    """The parts of a token that is signed by HMAC with the text of a public key."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = {"sub": "user", "client_id": "ann", "aud": "carecase", "iss": "us", "exp": 4_000_000_000}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": algorithm, "kid": key_id, "typ": "JWT"}, claims)
    ]
    signature = hmac.digest(pem, ".".join(parts).encode(), "sha256")
    return [*parts, base64.urlsafe_b64encode(signature).rstrip(b"=").decode()]


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
        (KEY, token(nbf=datetime.now(UTC) + timedelta(days=1))),
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


RSA, STRANGERS_RSA = a_key_pair("RS256"), a_key_pair("RS256")
EC = a_key_pair("ES256")
PUBLIC = a_key_set(r1=RSA, e1=EC)


def gate_of_keys(*algorithms: str, secret: str | None = None) -> Gate:
    held = {"algorithms": algorithms, "audience": "carecase", "issuer": "us", "secret": secret}
    tokens = JwtSettings.model_validate(held)
    return Gate(CLIENTS, tokens, "both", KeySet(lambda: PUBLIC, tokens.jwks_refresh, tokens.jwks_refetch))


def signed(key: Any, algorithm: str, key_id: str | None, **changes: Any) -> str:
    return token(key, algorithm, headers={"kid": key_id} if key_id else {}, **changes)


@pytest.mark.parametrize(("key", "algorithm", "key_id"), [(RSA, "RS256", "r1"), (EC, "ES256", "e1")])
def test_a_token_of_an_issuer_with_public_keys(key: Any, algorithm: str, key_id: str) -> None:
    one = gate_of_keys("RS256", "ES256")
    assert one.caller(KEY, signed(key, algorithm, key_id)).client == "ann"
    with pytest.raises(AccessRefused):
        one.caller(KEY, signed(key, algorithm, key_id, exp=datetime.now(UTC) - timedelta(minutes=5)))


@pytest.mark.parametrize(
    "authorization",
    [
        signed(STRANGERS_RSA, "RS256", "r1"),
        signed(RSA, "RS256", "r2"),
        signed(RSA, "RS256", None),
        signed(RSA, "RS256", "e1"),
        signed(RSA, "RS512", "r1"),
        signed(EC, "ES256", "e1"),  # not one of the algorithms
        token(),  # HS256 is none of them either
        # the public key, taken for a secret that both sides know
        "Bearer " + ".".join(forged("HS256", "r1", RSA)),
        "Bearer " + jwt.encode({"sub": "user"}, None, algorithm="none", headers={"kid": "r1"}),
    ],
)
def test_a_token_signed_otherwise_is_not_believed(authorization: str) -> None:
    for one in (gate_of_keys("RS256"), gate_of_keys("RS256", "HS256", secret="t" * 32)):
        with pytest.raises(AccessRefused):
            one.caller(KEY, authorization)


def test_the_leeway_forgives_a_clock_that_is_a_little_off() -> None:
    late = datetime.now(UTC) - timedelta(seconds=20)
    early = datetime.now(UTC) + timedelta(seconds=20)
    assert gate().caller(KEY, token(exp=late)).client == "ann"
    assert gate().caller(KEY, token(nbf=early)).client == "ann"
    with pytest.raises(AccessRefused):
        gate().caller(KEY, token(exp=late - timedelta(seconds=20)))


def test_a_database_must_be_granted() -> None:
    caller = Caller("ann", "user", frozenset({"d"}))
    assert granted(caller, "d") == "d"
    with pytest.raises(AccessRefused):
        granted(caller, "e")
