"""Authentication by API key and bearer token, and authorisation for databases."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

import jwt
from jwt import PyJWK

from carecase_worker.cases.care_case import USER_LENGTH
from carecase_worker.clock import Clock, SystemClock
from carecase_worker.errors import AccessFault, AccessRefused, BatchFault, BatchRefused
from carecase_worker.intake.access.jwks import Jwks, jwks_of
from carecase_worker.intake.access.revocations import NOTHING_REVOKED, Revocable, Revocations, revocations_of
from carecase_worker.settings.model import Settings
from carecase_worker.settings.sections.access import ClientSettings, JwtSettings

_SUBJECT_LENGTH = 255
"""The longest `sub` that OpenID Connect allows."""

_LONGEST_TOKEN = 8192
"""Maximum length of a bearer token, which is decoded before authentication; real ones have a few thousand."""

_MOST_REMEMBERED = 1_000
"""Maximum number of cached verified tokens; a new one replaces the oldest."""

_REVOKED: Mapping[Revocable, str] = {
    Revocable.JTI: "The bearer token",
    Revocable.BEARER: "The bearer token",
    Revocable.SUB: "The access of the token's subject",
    Revocable.CLIENT: "The access of this client",
    Revocable.API_KEY: "The API key",
}
_HOW = "Send the headers x-api-key and Authorization: Bearer <token>."


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller: the client that owns the jobs; the subject; the databases that it may use.

    `user` is the subject, truncated to the length of a case's audit fields. `dry_runs` if it may make dry runs.
    """

    client: str
    subject: str
    databases: frozenset[str]
    dry_runs: bool = True

    @property
    def user(self) -> str:
        """The user of the audit fields."""
        return self.subject[:USER_LENGTH]


@dataclass(frozen=True, slots=True)
class _Verified:
    """A verified token: its claims, the keys it was verified with, and a digest of its signed part."""

    claims: Mapping[str, Any]
    algorithm: object
    key_id: str | None
    keys: Sequence[str | PyJWK]
    signed_sha256: str


class Authenticator:
    """The authenticator of callers. Verified tokens are cached until they expire."""

    def __init__(
        self,
        clients: Mapping[str, ClientSettings],
        tokens: JwtSettings,
        require: Literal["both", "either"],
        jwks: Jwks | None = None,
        revocations: Revocations = NOTHING_REVOKED,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._tokens_found: dict[bytes, _Verified] = {}
        self._remembering = Lock()
        self._clients = clients
        # The time of a look-up can depend on how much of the text matches. So keys are looked up by a digest under a
        # secret of this process, which callers cannot predict: the time reveals nothing about a key.
        self._salt = secrets.token_bytes(32)
        self._by_digest = {
            self._digest(bytes.fromhex(digest)): name
            for name, client in clients.items()
            for digest in client.api_key_sha256
        }
        self._tokens = tokens
        self._secrets = tokens.secrets
        self._key_set = jwks
        self._revocations = revocations
        self._both = require == "both"

    def known(self, api_key: str | None, authorization: str | None) -> Caller | None:
        """Return the caller of these headers without blocking; None if that needs a thread (see `caller`).

        Raises AccessRefused.
        """
        verified = self._remembered(authorization) if authorization else None
        if not self._revocations.looked or (authorization and verified is None):
            return None
        return self._caller(api_key, authorization, verified)

    def caller(self, api_key: str | None, authorization: str | None) -> Caller:
        """Return the caller of these headers; may block. Raises AccessRefused, KeysUnavailable."""
        return self._caller(api_key, authorization, None)

    def _caller(self, api_key: str | None, authorization: str | None, verified: _Verified | None) -> Caller:
        if (self._both and not (api_key and authorization)) or not (api_key or authorization):
            raise AccessRefused(AccessFault.NO_CREDENTIALS, f"Credentials are missing. {_HOW}")
        by_key = self._client_of_key(api_key) if api_key else None
        claims: Mapping[str, Any] = (
            self._unrevoked(verified or self._verified_of(authorization)) if authorization else {}
        )
        if authorization and claims.get("client_id") is None and self._tokens.require_client_id:
            raise _bad("The bearer token names no client in its client_id.")
        client = claims.get("client_id", by_key)
        if not isinstance(client, str) or client not in self._clients or by_key not in (None, client):
            raise _bad("The API key and the bearer token do not belong to the same client.")
        subject = claims.get("sub", client) or client
        if not subject.isprintable():
            raise _bad("The token's `sub` contains non-printable characters.")
        if len(subject) > _SUBJECT_LENGTH:
            raise _bad(f"The token's sub has more than {_SUBJECT_LENGTH} characters.")
        self._require_unrevoked(Revocable.CLIENT, client)
        settings = self._clients[client]
        return Caller(client, subject, frozenset(settings.databases), settings.dry_runs)

    def _client_of_key(self, api_key: str) -> str:
        digest = hashlib.sha256(api_key.encode())
        try:
            client = self._by_digest[self._digest(digest.digest())]
        except KeyError:
            raise _bad("The API key is not known.") from None
        self._require_unrevoked(Revocable.API_KEY, digest.hexdigest())
        return client

    def _digest(self, digest: bytes) -> bytes:
        return hmac.digest(self._salt, digest, "sha256")

    def _verified_of(self, authorization: str) -> _Verified:
        """Return the verified token of a header. Raises AccessRefused."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _bad("The Authorization header has no valid bearer token.")
        token = token.strip()
        if len(token) > _LONGEST_TOKEN:
            raise _bad(f"The bearer token has more than {_LONGEST_TOKEN} characters.")
        return self._remembered(authorization) or self._verify(token)

    def _unrevoked(self, verified: _Verified) -> Mapping[str, Any]:
        """Return the claims of a token. Raises AccessRefused if it was revoked."""
        self._require_unrevoked(Revocable.JTI, verified.claims.get("jti"))
        self._require_unrevoked(Revocable.SUB, verified.claims.get("sub"))
        self._require_unrevoked(Revocable.BEARER, verified.signed_sha256)
        return verified.claims

    def _remembered(self, authorization: str) -> _Verified | None:
        """Return a cached token, if it has not expired and its key is still in the JWKS; None otherwise."""
        scheme, _, token = authorization.partition(" ")
        verified = self._tokens_found.get(self._digest(token.strip().encode())) if scheme.lower() == "bearer" else None
        if verified is None or verified.claims["exp"] <= (self._clock.now() - self._tokens.leeway).timestamp():
            return None
        if verified.algorithm == "HS256":
            return verified
        is_current = self._key_set is not None and self._key_set.holds(verified.key_id, verified.keys[0])
        return verified if is_current else None

    def _verify(self, token: str) -> _Verified:
        """Verify a token, and cache it. Raises AccessRefused, KeysUnavailable."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm, key_id = header.get("alg"), header.get("kid")
            keys = self._keys(algorithm, key_id)
            claims = self._checked(token, keys)
        except jwt.ExpiredSignatureError:
            raise _bad("The bearer token has expired. Get a new one.") from None
        except jwt.PyJWTError:
            raise _bad("The bearer token is not valid.") from None
        # base64 allows several spellings of one signature, so the digest covers the signed part only
        signed = hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
        verified = _Verified(claims, algorithm, key_id, keys, signed)
        if isinstance(claims["exp"], int | float):
            with self._remembering:
                while len(self._tokens_found) >= _MOST_REMEMBERED:
                    del self._tokens_found[next(iter(self._tokens_found))]
                self._tokens_found[self._digest(token.encode())] = verified
        return verified

    def _checked(self, token: str, keys: Sequence[str | PyJWK]) -> dict[str, Any]:
        """Return the claims of a token that one of the keys has signed. Raises PyJWTError."""
        *others, last = keys
        for key in others:
            with suppress(jwt.InvalidSignatureError):
                return self._decoded(token, key)
        return self._decoded(token, last)

    def _decoded(self, token: str, key: str | PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=self._tokens.algorithms,
            audience=self._tokens.audience,
            issuer=self._tokens.issuer,
            leeway=self._tokens.leeway,
            options={"require": ["exp"], "verify_aud": self._tokens.audience is not None},
        )

    def _require_unrevoked(self, kind: Revocable, value: object) -> None:
        if self._revocations.holds(kind, value):
            raise _bad(f"{_REVOKED[kind]} has been revoked. Ask the operator of the service.")

    def _keys(self, algorithm: object, key_id: str | None) -> Sequence[str | PyJWK]:
        """Return the keys to verify a token with, by its `kid`; each key has one algorithm. Raises AccessRefused."""
        if algorithm == "HS256" and self._secrets:
            return self._secrets
        if algorithm in self._tokens.algorithms and algorithm != "HS256" and self._key_set is not None:
            key = self._key_set.find(key_id)
            if key is not None and key.algorithm_name == algorithm:
                return (key,)
        raise _bad("The bearer token is signed with an unknown algorithm or key.")


def gate_of(settings: Settings) -> Authenticator:
    """Make the authenticator from the settings."""
    jwt_settings = settings.jwt
    return Authenticator(
        settings.clients,
        jwt_settings,
        settings.intake.require,
        jwks_of(jwt_settings),
        revocations_of(jwt_settings),
    )


def authorise_database(caller: Caller, database: str | None) -> str:
    """Check that the caller may use a database. Raises BatchRefused if none is named, AccessRefused if it may not."""
    if not database:
        raise BatchRefused(BatchFault.NO_DATABASE, "Name the target database in the header vbasoftware-database.")
    if database not in caller.databases:
        raise AccessRefused(
            AccessFault.NOT_GRANTED,
            "The database in vbasoftware-database does not exist, or this client may not use it.",
        )
    return database


def authorise_dry_run(caller: Caller, dry_run: bool) -> None:
    """Check that the caller may make dry runs, if it wants one: who may only send would learn what cases hold.

    Raises AccessRefused.
    """
    if dry_run and not caller.dry_runs:
        raise AccessRefused(
            AccessFault.NOT_GRANTED,
            "This client may not make dry runs. Send the batch with validateOnly to check the rules alone, or ask the"
            " operator of the service for dry_runs.",
        )


def _bad(detail: str) -> AccessRefused:
    return AccessRefused(AccessFault.BAD_CREDENTIALS, f"{detail} {_HOW}")
