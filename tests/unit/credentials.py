"""API keys and bearer tokens of callers, right and wrong, and an authenticator that knows some of them."""

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import jwt
import pytest

from carecase_worker.errors import AccessFault, AccessRefused
from carecase_worker.intake.access.authenticator import Authenticator, Caller
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
UNKNOWN_KEY = f"The API key is not known. {HOW}"
NOT_VALID = f"The bearer token is not valid. {HOW}"
EXPIRED = f"The bearer token has expired. Get a new one. {HOW}"
SIGNED_OTHERWISE = f"The bearer token is signed with an unknown algorithm or key. {HOW}"


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
    kept = {name: value for name, value in claims(**changes).items() if value is not None}
    made = jwt.encode(kept, secret, algorithm=algorithm, headers=headers)
    return f"Bearer {made}"


def signed_by_hand(header: dict[str, Any], sign: Callable[[bytes], bytes], **changes: Any) -> str:
    """A token whose parts no library looks at."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims(**changes))]
    signature = sign(b".".join(parts))
    return f"Bearer {b'.'.join([*parts, base64.urlsafe_b64encode(signature).rstrip(b'=')]).decode()}"


def refused(one: Authenticator, api_key: str | None, authorization: str | None) -> tuple[AccessFault, str]:
    """Why a caller is turned away, and in which words."""
    with pytest.raises(AccessRefused) as refusal:
        one.caller(api_key, authorization)
    return refusal.value.fault, str(refusal.value)


def signed(key: Any, algorithm: str, key_id: str | None, **changes: Any) -> str:
    return token(key, algorithm, headers={"kid": key_id} if key_id else {}, **changes)


def signed_part(authorization: str) -> str:
    """The SHA-256 of what a token's signature is of."""
    return hashlib.sha256(authorization.removeprefix("Bearer ").rpartition(".")[0].encode()).hexdigest()
