"""The caller of a request: the client, user and databases that its API key and bearer token name."""

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Any

import jwt
import pytest
from tests.unit.credentials import (
    ANN,
    BOBS_KEY,
    HELD,
    HOW,
    KEY,
    NEW_KEY,
    NOT_VALID,
    SECRET,
    SIGNED_OTHERWISE,
    UNKNOWN_KEY,
    at,
    gate,
    refused,
    signed_by_hand,
    token,
)

from carecase_worker.errors import AccessFault, AccessRefused, BatchFault, BatchRefused
from carecase_worker.intake.access.authenticator import Caller, authorise_database
from carecase_worker.settings.sections.access import JwtSettings

MISSING = f"Credentials are missing. {HOW}"
NO_TOKEN = f"The Authorization header has no valid bearer token. {HOW}"
NOT_ONE_CLIENT = f"The API key and the bearer token do not belong to the same client. {HOW}"
NO_CLIENT = f"The bearer token names no client in its client_id. {HOW}"
BAD_SUBJECT = f"The token's `sub` contains non-printable characters. {HOW}"


def by_secret(text: bytes) -> bytes:
    return hmac.digest(SECRET.encode(), text, "sha256")


def token_of(length: int) -> str:
    """A good token of so many characters."""
    made = (token(x="y" * size) for size in range(length // 2, length))
    return next(one for one in made if len(one) == len("Bearer ") + length)


def nested(depth: int) -> str:
    """A token's header in which arrays lie in each other."""
    return base64.urlsafe_b64encode(b"[" * depth).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("api_key", "authorization"),
    [
        (KEY, token()),
        (KEY, token_of(8191)),
        (KEY, token_of(8192)),
        (NEW_KEY, token()),
        (KEY, token().replace("Bearer ", "bearer ")),
        (KEY, token().replace("Bearer ", "BEARER   ") + " "),
        (KEY, token(aud=["others", "carecase"])),
        (KEY, token(unknown="claim", jti="7", iat=at(timedelta(0)))),
    ],
)
def test_key_and_token_name_client_user_and_databases(api_key: str, authorization: str) -> None:
    assert gate().caller(api_key, authorization) == ANN
    assert gate("either").caller(api_key, authorization) == ANN


@pytest.mark.parametrize(
    ("subject", "user"),
    [
        (None, "ann"),
        ("", "ann"),
        ("u" * 20, "u" * 20),
        ("u" * 21, "u" * 20),
        ("u" * 255, "u" * 20),
        ("\N{GRINNING FACE}" * 21, "\N{GRINNING FACE}" * 20),
        ("a b", "a b"),
    ],
)
def test_the_user_is_the_subject_as_far_as_it_fits_the_audit_fields(subject: str | None, user: str) -> None:
    caller = gate().caller(KEY, token(sub=subject))
    assert (caller.user, caller.subject) == (user, subject or user), "the audit log has all of it"


@pytest.mark.parametrize(
    ("api_key", "authorization", "words"),
    [
        ("wrong", token(), UNKNOWN_KEY),
        (KEY + " ", token(), UNKNOWN_KEY),
        (hashlib.sha256(KEY.encode()).hexdigest(), token(), UNKNOWN_KEY),
        ("\u00e9", token(), UNKNOWN_KEY),
        (BOBS_KEY, token(), NOT_ONE_CLIENT),
        (KEY, token(client_id="bob"), NOT_ONE_CLIENT),
        (KEY, token(client_id="nobody"), NOT_ONE_CLIENT),
        (KEY, token(client_id=["ann"]), NOT_ONE_CLIENT),
        (KEY, token(client_id=5), NOT_ONE_CLIENT),
        (KEY, token(client_id=None), NO_CLIENT),
        (KEY, signed_by_hand({"alg": "HS256"}, by_secret, client_id=None), NO_CLIENT),
        (KEY, token(client_id=""), NOT_ONE_CLIENT),
        (KEY, token("x" * 32), NOT_VALID),
        (KEY, token(aud="others"), NOT_VALID),
        (KEY, token(aud=["others"]), NOT_VALID),
        (KEY, token(aud=None), NOT_VALID),
        (KEY, token(iss="others"), NOT_VALID),
        (KEY, token(iss=None), NOT_VALID),
        (KEY, token(exp=None), NOT_VALID),
        (KEY, token(exp="soon"), NOT_VALID),
        (KEY, signed_by_hand({"alg": "HS256"}, by_secret, sub=5), NOT_VALID),
        (KEY, signed_by_hand({"alg": "HS256", "kid": 5}, by_secret), NOT_VALID),
        (KEY, signed_by_hand({}, by_secret), SIGNED_OTHERWISE),
        (KEY, token()[:-3], NOT_VALID),
        (KEY, "Bearer a.b.c", NOT_VALID),
        (KEY, f"Bearer {nested(2000)}.b.c", NOT_VALID),
        (KEY, token_of(8193), f"The bearer token has more than 8192 characters. {HOW}"),
        (KEY, "Bearer " + "a" * 30_000, f"The bearer token has more than 8192 characters. {HOW}"),
        (KEY, "Bearer \u00e9", NOT_VALID),
        (KEY, token(sub="a\0b"), BAD_SUBJECT),
        (KEY, token(sub="a\u2028b"), BAD_SUBJECT),
        (KEY, token(sub="u" * 256), f"The token's sub has more than 255 characters. {HOW}"),
        (KEY, token(algorithm="HS512", secret="s" * 64), SIGNED_OTHERWISE),
        (KEY, "Bearer " + jwt.encode({"sub": "user"}, "", algorithm="none"), SIGNED_OTHERWISE),
        (KEY, token().replace("Bearer", "Basic"), NO_TOKEN),
        (KEY, token().replace("Bearer ", ""), NO_TOKEN),
        (KEY, token().replace("Bearer ", "Bearer"), NO_TOKEN),
        (KEY, "Bearer", NO_TOKEN),
        (KEY, "Bearer ", NO_TOKEN),
    ],
)
def test_a_request_with_anything_wrong_in_its_credentials_is_refused(
    api_key: str, authorization: str, words: str
) -> None:
    for require in ("both", "either"):
        assert refused(gate(require), api_key, authorization) == (AccessFault.BAD_CREDENTIALS, words)


@pytest.mark.parametrize(
    ("api_key", "authorization"),
    [(None, token()), ("", token()), (KEY, None), (KEY, ""), (None, None), ("", "")],
)
def test_both_are_required_unless_one_is_said_to_do(api_key: str | None, authorization: str | None) -> None:
    assert refused(gate(), api_key, authorization) == (AccessFault.NO_CREDENTIALS, MISSING)
    if api_key or authorization:
        user = "user" if authorization else "ann"
        assert gate("either").caller(api_key, authorization) == Caller("ann", user, ANN.databases)
    else:
        assert refused(gate("either"), api_key, authorization) == (AccessFault.NO_CREDENTIALS, MISSING)


@pytest.mark.parametrize("client", [None, "nobody", ["ann"], {"ann": 1}, 5, ""])
def test_a_token_alone_names_its_client(client: Any) -> None:
    alone = gate("either")
    words = NO_CLIENT if client is None else NOT_ONE_CLIENT
    assert refused(alone, None, token(client_id=client)) == (AccessFault.BAD_CREDENTIALS, words)
    assert alone.caller(None, token(client_id="tokens only")) == Caller("tokens only", "user", frozenset({"f"}))


def test_a_setting_lets_tokens_without_a_client_go_with_any_key() -> None:
    relaxed = JwtSettings.model_validate({**HELD, "require_client_id": False})
    assert gate(tokens=relaxed).caller(KEY, token(client_id=None)) == ANN
    assert gate(tokens=relaxed).caller(BOBS_KEY, token(client_id=None)) == Caller("bob", "user", frozenset({"e"}))
    assert refused(gate(tokens=relaxed), BOBS_KEY, token())[1] == NOT_ONE_CLIENT
    assert refused(gate("either", relaxed), None, token(client_id=None))[1] == NOT_ONE_CLIENT


def test_a_database_must_be_named_and_granted() -> None:
    assert authorise_database(ANN, "d") == "d"
    for nothing in (None, ""):
        with pytest.raises(BatchRefused) as unnamed:
            authorise_database(ANN, nothing)
        assert unnamed.value.fault is BatchFault.NO_DATABASE
        assert str(unnamed.value) == "Name the target database in the header vbasoftware-database."
    for other in ("f", "nowhere", "D", "d "):
        with pytest.raises(AccessRefused) as hidden:
            authorise_database(ANN, other)
        assert hidden.value.fault is AccessFault.NOT_GRANTED
        words = "The database in vbasoftware-database does not exist, or this client may not use it."
        assert str(hidden.value) == words
