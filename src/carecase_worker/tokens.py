"""Signing of bearer tokens for configured clients; the intake verifies them."""

from dataclasses import dataclass
from datetime import datetime

import jwt

from carecase_worker.errors import SettingsError
from carecase_worker.settings.sections.access import JwtSettings


@dataclass(frozen=True, slots=True)
class Bearer:
    """The claims of a token: the client, the subject (the user in audit fields), the time of expiry.

    `token_id` is the id by which the token can be revoked.
    """

    client: str
    subject: str
    expires_at: datetime
    token_id: str | None = None


def lacks_secret(settings: JwtSettings) -> bool:
    """Return whether HS256 tokens are allowed but the secret to sign and verify them is missing."""
    return "HS256" in settings.algorithms and settings.secret is None


def sign(bearer: Bearer, settings: JwtSettings, now: datetime) -> str:
    """Sign a token that the intake accepts until it expires. Raises SettingsError without HS256 or its secret."""
    if "HS256" not in settings.algorithms:
        accepted = " and ".join(settings.algorithms)
        raise SettingsError(
            f"jwt.algorithms: allows {accepted} only, so tokens come from the issuer of jwt.jwks_file or jwt.jwks_url;"
            " get one there, or add HS256 and set CARECASE_JWT_SECRET"
        )
    if lacks_secret(settings) or settings.secret is None:
        raise SettingsError(
            "jwt.secret: is not set, so no token can be signed; set CARECASE_JWT_SECRET to the intake's secret"
            " (make one with: openssl rand -hex 32), or name the intake's configuration with --config"
        )
    claims = {
        "sub": bearer.subject,
        "client_id": bearer.client,
        "jti": bearer.token_id,
        "iat": now,
        "exp": bearer.expires_at,
        "iss": settings.issuer,
        "aud": settings.audience,
    }
    wanted = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(wanted, settings.secret.get_secret_value(), algorithm="HS256")
