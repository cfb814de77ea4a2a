"""The signature of a bearer token: only algorithms and keys that are configured are believed."""

import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.builders import a_jwks, a_key_pair
from tests.unit.credentials import (
    ANN,
    CLIENTS,
    EXPIRED,
    HELD,
    KEY,
    LEEWAY,
    NOT_VALID,
    SECRET,
    SIGNED_OTHERWISE,
    UNKNOWN_KEY,
    at,
    gate,
    refused,
    signed,
    signed_by_hand,
    token,
)

from carecase_worker.errors import KeysUnavailable
from carecase_worker.intake.access.authenticator import Authenticator
from carecase_worker.intake.access.jwks import Jwks
from carecase_worker.settings.sections.access import JwtSettings

RSA, STRANGERS_RSA, UNNAMED_RSA = a_key_pair("RS256"), a_key_pair("RS256"), a_key_pair("RS256")
EC = a_key_pair("ES256")


def published() -> bytes:
    """Keys by their ids, one for another algorithm of its kind, and one without an id."""
    document = json.loads(a_jwks(r1=RSA, e1=EC, r512=RSA, unnamed=UNNAMED_RSA))
    document["keys"][2]["alg"] = "RS512"
    del document["keys"][3]["kid"]
    return json.dumps(document).encode()


def away() -> bytes:
    raise OSError


def gate_of_keys(*algorithms: str, secret: str | None = None, read: Callable[[], bytes] = published) -> Authenticator:
    tokens = JwtSettings.model_validate({**HELD, "algorithms": algorithms, "secret": secret})
    return Authenticator(CLIENTS, tokens, "both", Jwks(read, timedelta(days=1), timedelta(days=1)))


def by_rsa(text: bytes) -> bytes:
    return bytes(RSA.sign(text, PKCS1v15(), SHA256()))


def by_text_of_public_key(text: bytes) -> bytes:
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hmac.digest(pem, text, "sha256")


@pytest.mark.parametrize(
    ("key", "algorithm", "key_id"), [(RSA, "RS256", "r1"), (EC, "ES256", "e1"), (UNNAMED_RSA, "RS256", None)]
)
def test_a_token_of_an_issuer_is_believed_by_its_public_key(key: Any, algorithm: str, key_id: str | None) -> None:
    one = gate_of_keys("RS256", "ES256")
    assert one.caller(KEY, signed(key, algorithm, key_id)) == ANN
    assert refused(one, KEY, signed(key, algorithm, key_id, exp=at(-2 * LEEWAY)))[1] == EXPIRED
    assert gate_of_keys("HS256", algorithm, secret=SECRET).caller(KEY, signed(key, algorithm, key_id)) == ANN
    assert gate_of_keys("HS256", algorithm, secret=SECRET).caller(KEY, token()) == ANN


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        (signed(STRANGERS_RSA, "RS256", "r1"), NOT_VALID),
        (signed(RSA, "RS256", "r2"), SIGNED_OTHERWISE),
        (signed(RSA, "RS256", None), NOT_VALID),
        (signed(RSA, "RS256", "e1"), SIGNED_OTHERWISE),
        (signed(RSA, "RS512", "r1"), SIGNED_OTHERWISE),
        (signed(RSA, "RS512", "r512"), SIGNED_OTHERWISE),
        (signed(RSA, "RS256", "r512"), SIGNED_OTHERWISE),
        (signed(EC, "ES256", "e1"), SIGNED_OTHERWISE),  # not one of the algorithms
        (token("x" * 32), None),  # HS256 is none of them either, or has another secret
        (signed_by_hand({"alg": "ES256", "kid": "r1"}, by_rsa), SIGNED_OTHERWISE),
        (signed_by_hand({"alg": "HS256", "kid": "r1"}, by_text_of_public_key), None),
        (signed_by_hand({"alg": "RS256", "kid": "r1"}, by_text_of_public_key), NOT_VALID),
        (signed_by_hand({"alg": "none", "kid": "r1"}, lambda _: b""), SIGNED_OTHERWISE),
        (signed_by_hand({"alg": ["RS256"], "kid": "r1"}, by_rsa), SIGNED_OTHERWISE),
    ],
)
def test_a_token_signed_otherwise_is_not_believed(authorization: str, words: str | None) -> None:
    assert refused(gate_of_keys("RS256"), KEY, authorization)[1] == (words or SIGNED_OTHERWISE)
    assert refused(gate_of_keys("RS256", "HS256", secret="t" * 32), KEY, authorization)[1] == (words or NOT_VALID)


def test_no_algorithm_is_taken_that_the_configuration_leaves_out() -> None:
    assert refused(gate_of_keys("RS256", secret=SECRET), KEY, token())[1] == NOT_VALID
    assert refused(gate_of_keys("ES256"), KEY, signed(RSA, "RS256", "r1"))[1] == SIGNED_OTHERWISE
    both = JwtSettings.model_validate({**HELD, "algorithms": ("HS256", "RS256")})
    assert refused(gate(tokens=both), KEY, signed(RSA, "RS256", "r1"))[1] == SIGNED_OTHERWISE, "there are no keys"


def test_only_a_token_that_needs_the_issuers_keys_waits_for_them() -> None:
    one = gate_of_keys("HS256", "RS256", secret=SECRET, read=away)
    with pytest.raises(KeysUnavailable, match=r"cannot be verified at the moment\. Send the request again later\."):
        one.caller(KEY, signed(RSA, "RS256", "r1"))
    assert one.caller(KEY, token()) == ANN
    for authorization in (
        signed(EC, "ES256", "e1"),
        signed(RSA, "RS512", "r1"),
        signed_by_hand({"alg": "none"}, lambda _: b""),
    ):
        assert refused(one, KEY, authorization)[1] == SIGNED_OTHERWISE
    without_secret = gate_of_keys("HS256", "RS256", read=away)
    assert refused(without_secret, KEY, token())[1] == SIGNED_OTHERWISE
    assert refused(one, "wrong", signed(RSA, "RS256", "r1"))[1] == UNKNOWN_KEY, "a caller without a key asks nobody"
