"""Credentials that are replaced overlap; those that are revoked let nobody in."""

import hashlib
import hmac
from pathlib import Path

import pytest
from tests.unit.credentials import (
    ANN,
    BOBS_KEY,
    CLIENTS,
    EXPIRED,
    HELD,
    HOW,
    KEY,
    LEEWAY,
    NEW_KEY,
    NOT_VALID,
    SECRET,
    SIGNED_OTHERWISE,
    TOKENS,
    at,
    gate,
    refused,
    signed_by_hand,
    signed_part,
    token,
)

from carecase_worker.errors import AccessFault
from carecase_worker.intake.access.authenticator import Authenticator
from carecase_worker.intake.access.revocations import Revocations
from carecase_worker.settings.sections.access import JwtSettings


def test_a_secret_that_is_replaced_overlaps_with_the_next_one() -> None:
    older, newer, oldest = "o" * 32, "n" * 32, "p" * 32
    several = JwtSettings.model_validate({**HELD, "secret": newer, "other_secrets": f"{older}, {oldest}"})
    for secret in (newer, older, oldest):
        assert gate(tokens=several).caller(KEY, token(secret)) == ANN
        assert refused(gate(tokens=several), KEY, token(secret, exp=at(-2 * LEEWAY)))[1] == EXPIRED
        assert refused(gate(tokens=several), KEY, token(secret, aud="others"))[1] == NOT_VALID
    for secret in (SECRET, older + oldest, f"{older}, {oldest}"):
        assert refused(gate(tokens=several), KEY, token(secret))[1] == NOT_VALID


REVOKED = "has been revoked. Ask the operator of the service."


def test_a_revoked_key_or_token_is_refused(tmp_path: Path) -> None:
    one, other = token(jti="1"), token(jti="2", sub="other")
    of_bob = token(client_id="bob", sub="bob", jti="3")
    cases = [
        ("jti 1\n", "The bearer token", {one}),
        (f"token {signed_part(other)}", "The bearer token", {other}),
        ("sub other", "The access of the token's subject", {other}),
        ("client ann", "The access of this client", {one, other}),
        (f"api_key {hashlib.sha256(KEY.encode()).hexdigest()}", "The API key", {one, other}),
        (f"api_key {hashlib.sha256(NEW_KEY.encode()).hexdigest()}", "", set()),
        ("jti other\nsub 1\nclient user\n# jti 1\nJTI 1", "", set()),
    ]
    for listed, what, gone in cases:
        (tmp_path / "list").write_text(listed)
        guarded = Authenticator(CLIENTS, TOKENS, "both", None, Revocations(tmp_path / "list"))
        for key, authorization in ((KEY, one), (KEY, other), (BOBS_KEY, of_bob)):
            if authorization in gone:
                refusal = refused(guarded, key, authorization)
                assert refusal == (AccessFault.BAD_CREDENTIALS, f"{what} {REVOKED} {HOW}"), listed
            else:
                assert guarded.caller(key, authorization).client in ("ann", "bob")


def test_another_spelling_of_a_revoked_token_is_revoked_too(tmp_path: Path) -> None:
    one = token()
    last = one[-1]
    (tmp_path / "list").write_text(f"token {signed_part(one)}")
    guarded = Authenticator(CLIENTS, TOKENS, "both", None, Revocations(tmp_path / "list"))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = one[:-1] + alphabet[alphabet.index(last) ^ 1]  # the last bits of a signature stand for nothing
    for spelling in (one, other, f"{one}=", f" {one}".replace(" Bearer ", "Bearer  ")):
        assert refused(guarded, KEY, spelling)[0] is AccessFault.BAD_CREDENTIALS


@pytest.mark.parametrize("secret", [b"", SECRET.encode()])
def test_without_a_secret_no_token_is_believed(secret: bytes) -> None:
    authorization = signed_by_hand({"alg": "HS256"}, lambda text: hmac.digest(secret, text, "sha256"))
    refusal = refused(gate(tokens=JwtSettings()), KEY, authorization)
    assert refusal == (AccessFault.BAD_CREDENTIALS, SIGNED_OTHERWISE)
