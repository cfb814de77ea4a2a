"""API key and bearer token to the caller and what it may use."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jwt
from jwt import PyJWK

from carecase_worker.cases.care_case import USER_LENGTH
from carecase_worker.errors import AccessFault, AccessRefused, BatchFault, BatchRefused
from carecase_worker.intake.key_set import KeySet
from carecase_worker.settings.model import ClientSettings, JwtSettings

_HOW = "Send the headers x-api-key and Authorization: Bearer <token>."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the client, whose jobs these are; the user, for the audit fields; the databases it may use."""

    client: str
    user: str
    databases: frozenset[str]


class Gate:
    """Tells callers from their credentials."""

    def __init__(
        self,
        clients: Mapping[str, ClientSettings],
        tokens: JwtSettings,
        require: Literal["both", "either"],
        key_set: KeySet | None = None,
    ) -> None:
        self._clients = clients
        # A look-up takes longer the more of a name is right. So keys are looked up by a digest under a secret of this
        # process, which nobody can aim at: how long it takes tells nothing of a key, however many clients there are.
        self._salt = secrets.token_bytes(32)
        self._by_digest = {
            self._digest(bytes.fromhex(digest)): name
            for name, client in clients.items()
            for digest in client.api_key_sha256
        }
        self._tokens = tokens
        self._key_set = key_set
        self._both = require == "both"

    def caller(self, api_key: str | None, authorization: str | None) -> Caller:
        """Who sends these headers. Raises AccessRefused, or KeysUnavailable if that cannot be told just now."""
        if (self._both and not (api_key and authorization)) or not (api_key or authorization):
            raise AccessRefused(AccessFault.NO_CREDENTIALS, f"Credentials are missing. {_HOW}")
        by_key = self._client_of_key(api_key) if api_key else None
        claims = self._claims(authorization) if authorization else {}
        client = claims.get("client_id", by_key)
        if not isinstance(client, str) or client not in self._clients or by_key not in (None, client):
            raise _bad("The API key and the bearer token do not belong to one client.")
        user = claims.get("sub", client)
        if not user.isprintable():
            raise _bad("The token's sub has characters that are none.")
        return Caller(client, user[:USER_LENGTH] or client, frozenset(self._clients[client].databases))

    def _client_of_key(self, api_key: str) -> str:
        try:
            return self._by_digest[self._digest(hashlib.sha256(api_key.encode()).digest())]
        except KeyError:
            raise _bad("The API key is not known.") from None

    def _digest(self, digest: bytes) -> bytes:
        return hmac.digest(self._salt, digest, "sha256")

    def _claims(self, authorization: str) -> dict[str, Any]:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _bad("The Authorization header holds no bearer token that can be checked.")
        token = token.strip()
        try:
            header = jwt.get_unverified_header(token)
            return jwt.decode(
                token,
                self._key(header.get("alg"), header.get("kid")),
                algorithms=self._tokens.algorithms,
                audience=self._tokens.audience,
                issuer=self._tokens.issuer,
                leeway=self._tokens.leeway,
                options={"require": ["exp"], "verify_aud": self._tokens.audience is not None},
            )
        except jwt.ExpiredSignatureError:
            raise _bad("The bearer token has expired. Get a new one.") from None
        except jwt.PyJWTError:
            raise _bad("The bearer token is not valid.") from None

    def _key(self, algorithm: object, key_id: str | None) -> str | PyJWK:
        """What a token is checked with. The token says which of our keys it is; a key goes with one algorithm only."""
        if algorithm == "HS256" and self._tokens.secret is not None:
            return self._tokens.secret.get_secret_value()
        if algorithm in self._tokens.algorithms and algorithm != "HS256" and self._key_set is not None:
            key = self._key_set.find(key_id)
            if key is not None and key.algorithm_name == algorithm:
                return key
        raise _bad("The bearer token is signed in a way, or with a key, that is not known here.")


def granted(caller: Caller, database: str | None) -> str:
    """The database of a request. Raises BatchRefused if none is named, AccessRefused if it is not the caller's."""
    if not database:
        raise BatchRefused(BatchFault.NO_DATABASE, "Name the target database in the header vbasoftware-database.")
    if database not in caller.databases:
        raise AccessRefused(
            AccessFault.NOT_GRANTED,
            "The database in vbasoftware-database does not exist, or this client may not use it.",
        )
    return database


def _bad(detail: str) -> AccessRefused:
    return AccessRefused(AccessFault.BAD_CREDENTIALS, f"{detail} {_HOW}")
