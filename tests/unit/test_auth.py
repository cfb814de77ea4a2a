"""The caller of a request: who it is and what it may use, from its API key and its bearer token."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.builders import a_jwks, a_key_pair

from carecase_worker.errors import AccessFault, AccessRefused, BatchFault, BatchRefused, KeysUnavailable
from carecase_worker.intake.access.authenticator import Authenticator, Caller, authorise_database
from carecase_worker.intake.access.jwks import Jwks
from carecase_worker.intake.access.revocations import Revocations
from carecase_worker.settings.sections.access import ClientSettings, JwtSettings

SECRET = "s" * 32
KEY, NEW_KEY, BOBS_KEY = "the key", "the key after it", "another key"
LEEWAY = timedelta(seconds=1000)
CLIENTS = {
    "ann": ClientSettings(
        api_key_sha256=tuple(hashlib.sha256(key.encode()).hexdigest() for key in (KEY, NEW_KEY)), databases=("d", "e")
    ),
    "bob": ClientSettings(api_key_sha256=(hashlib.sha256(BOBS_KEY.encode()).hexdigest(),), databases=("e",)),
    "tokens only": ClientSettings(databases=("f",)),
}
HELD = {"secret": SECRET, "audience": "carecase", "issuer": "us", "leeway_seconds": LEEWAY.total_seconds()}
TOKENS = JwtSettings.model_validate(HELD)
ANN = Caller("ann", "user", frozenset({"d", "e"}))
HOW = "Send the headers x-api-key and Authorization: Bearer <token>."
MISSING = f"Credentials are missing. {HOW}"
UNKNOWN_KEY = f"The API key is not known. {HOW}"
NO_TOKEN = f"The Authorization header has no valid bearer token. {HOW}"
NOT_VALID = f"The bearer token is not valid. {HOW}"
EXPIRED = f"The bearer token has expired. Get a new one. {HOW}"
SIGNED_OTHERWISE = f"The bearer token is signed with an unknown algorithm or key. {HOW}"
NOT_ONE_CLIENT = f"The API key and the bearer token do not belong to one client. {HOW}"
NO_CLIENT = f"The bearer token names no client in its client_id. {HOW}"
BAD_SUBJECT = f"The token's `sub` contains non-printable characters. {HOW}"


def gate(require: Literal["both", "either"] = "both", tokens: JwtSettings = TOKENS) -> Authenticator:
    return Authenticator(CLIENTS, tokens, require)


def at(offset: timedelta) -> int:
    """The second that lies so far from now."""
    return int((datetime.now(UTC) + offset).timestamp())


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token, but for those that are changed."""
    good = {"sub": "user", "client_id": "ann", "aud": "carecase", "iss": "us", "exp": at(timedelta(days=1))}
    return {**good, **changes}


def token(secret: Any = SECRET, algorithm: str = "HS256", headers: Any = None, **changes: Any) -> str:
    """A good token, but for the claims that are changed, or left out if they are None."""
    held = {name: value for name, value in claims(**changes).items() if value is not None}
    made = jwt.encode(held, secret, algorithm=algorithm, headers=headers)
    return f"Bearer {made}"


def signed_by_hand(header: dict[str, Any], sign: Callable[[bytes], bytes], **changes: Any) -> str:
    """A token whose parts no library looks at."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims(**changes))]
    signature = sign(b".".join(parts))
    return f"Bearer {b'.'.join([*parts, base64.urlsafe_b64encode(signature).rstrip(b'=')]).decode()}"


def by_secret(text: bytes) -> bytes:
    return hmac.digest(SECRET.encode(), text, "sha256")


def token_of(length: int) -> str:
    """A good token of so many characters."""
    made = (token(x="y" * size) for size in range(length // 2, length))
    return next(one for one in made if len(one) == len("Bearer ") + length)


def nested(depth: int) -> str:
    """A token's header in which arrays lie in each other."""
    return base64.urlsafe_b64encode(b"[" * depth).rstrip(b"=").decode()


def refused(one: Authenticator, api_key: str | None, authorization: str | None) -> tuple[AccessFault, str]:
    """Why a caller is turned away, and in which words."""
    with pytest.raises(AccessRefused) as refusal:
        one.caller(api_key, authorization)
    return refusal.value.fault, str(refusal.value)


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
def test_key_and_token_tell_client_user_and_databases(api_key: str, authorization: str) -> None:
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
def test_anything_wrong_is_nobody(api_key: str, authorization: str, words: str) -> None:
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


def test_a_secret_that_is_replaced_overlaps_with_the_next_one() -> None:
    older, newer, oldest = "o" * 32, "n" * 32, "p" * 32
    several = JwtSettings.model_validate({**HELD, "secret": newer, "other_secrets": f"{older}, {oldest}"})
    for secret in (newer, older, oldest):
        assert gate(tokens=several).caller(KEY, token(secret)) == ANN
        assert refused(gate(tokens=several), KEY, token(secret, exp=at(-2 * LEEWAY)))[1] == EXPIRED
        assert refused(gate(tokens=several), KEY, token(secret, aud="others"))[1] == NOT_VALID
    for secret in (SECRET, older + oldest, f"{older}, {oldest}"):
        assert refused(gate(tokens=several), KEY, token(secret))[1] == NOT_VALID


REVOKED = "has been revoked. Ask those who run the service."


def signed_part(authorization: str) -> str:
    """The SHA-256 of what a token's signature is of."""
    return hashlib.sha256(authorization.removeprefix("Bearer ").rpartition(".")[0].encode()).hexdigest()


def test_what_is_revoked_is_nobody(tmp_path: Path) -> None:
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
                told = refused(guarded, key, authorization)
                assert told == (AccessFault.BAD_CREDENTIALS, f"{what} {REVOKED} {HOW}"), listed
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
    told = refused(gate(tokens=JwtSettings()), KEY, authorization)
    assert told == (AccessFault.BAD_CREDENTIALS, SIGNED_OTHERWISE)


MARGIN = timedelta(seconds=100)
"""How much later than its making a token may be checked on a busy machine."""


@pytest.mark.parametrize(
    ("claim", "offset", "words"),
    [
        ("exp", -LEEWAY + MARGIN, None),
        ("exp", -LEEWAY, EXPIRED),
        ("exp", -2 * LEEWAY, EXPIRED),
        ("nbf", LEEWAY, None),
        ("nbf", LEEWAY + MARGIN, NOT_VALID),
        ("iat", LEEWAY, None),
        ("iat", LEEWAY + MARGIN, NOT_VALID),
    ],
)
def test_a_clock_that_is_a_little_off_is_forgiven(claim: str, offset: timedelta, words: str | None) -> None:
    changes: dict[str, Any] = {claim: at(offset)}
    authorization = token(**changes)
    if words is None:
        assert gate().caller(KEY, authorization) == ANN
    else:
        assert refused(gate(), KEY, authorization) == (AccessFault.BAD_CREDENTIALS, words)


def test_audience_and_issuer_count_only_where_they_are_configured() -> None:
    tokens = JwtSettings.model_validate({"secret": SECRET})
    for changes in ({"aud": "others"}, {"aud": None}, {"iss": "others"}, {"iss": None}, {"aud": ["a", "b"]}):
        assert gate(tokens=tokens).caller(KEY, token(**changes)) == ANN
    for name in ("audience", "issuer"):
        one = JwtSettings.model_validate({"secret": SECRET, name: "expected"})
        assert gate(tokens=one).caller(KEY, token(**{name[:3]: "expected"})) == ANN
        assert refused(gate(tokens=one), KEY, token(**{name[:3]: "others"}))[1] == NOT_VALID


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


def signed(key: Any, algorithm: str, key_id: str | None, **changes: Any) -> str:
    return token(key, algorithm, headers={"kid": key_id} if key_id else {}, **changes)


def by_rsa(text: bytes) -> bytes:
    return bytes(RSA.sign(text, PKCS1v15(), SHA256()))


def by_text_of_public_key(text: bytes) -> bytes:
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hmac.digest(pem, text, "sha256")


@pytest.mark.parametrize(
    ("key", "algorithm", "key_id"), [(RSA, "RS256", "r1"), (EC, "ES256", "e1"), (UNNAMED_RSA, "RS256", None)]
)
def test_a_token_of_an_issuer_with_public_keys(key: Any, algorithm: str, key_id: str | None) -> None:
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
