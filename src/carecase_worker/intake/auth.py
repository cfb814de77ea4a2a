"""API key and bearer token to the caller and what it may use."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jwt

from carecase_worker.cases.care_case import USER_LENGTH
from carecase_worker.errors import AccessFault, AccessRefused, BatchFault, BatchRefused
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
        self, clients: Mapping[str, ClientSettings], tokens: JwtSettings, require: Literal["both", "either"]
    ) -> None:
        self._clients = clients
        # the keys are looked up by their digests: how long that takes tells nothing of a key
        self._by_digest = {digest: name for name, client in clients.items() for digest in client.api_key_sha256}
        self._tokens = tokens
        self._both = require == "both"

    def caller(self, api_key: str | None, authorization: str | None) -> Caller:
        """Who sends these headers. Raises AccessRefused."""
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
            return self._by_digest[hashlib.sha256(api_key.encode()).hexdigest()]
        except KeyError:
            raise _bad("The API key is not known.") from None

    def _claims(self, authorization: str) -> dict[str, Any]:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or self._tokens.secret is None:
            raise _bad("The Authorization header holds no bearer token that can be checked.")
        try:
            return jwt.decode(
                token.strip(),
                self._tokens.secret.get_secret_value(),
                algorithms=["HS256"],
                audience=self._tokens.audience,
                issuer=self._tokens.issuer,
                leeway=self._tokens.leeway,
                options={"require": ["exp"], "verify_aud": self._tokens.audience is not None},
            )
        except jwt.ExpiredSignatureError:
            raise _bad("The bearer token has expired. Get a new one.") from None
        except jwt.PyJWTError:
            raise _bad("The bearer token is not valid.") from None


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
