"""Tokens that are signed here: their claims, and the error where there is nothing to sign with."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest

from carecase_worker.errors import SettingsError
from carecase_worker.settings.sections.access import JwtSettings
from carecase_worker.tokens import Bearer, lacks_secret, sign

SECRET = "s" * 32
NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
ANN = Bearer("ann", "user", NOW + timedelta(hours=8))
CLAIMS = {"sub": "user", "client_id": "ann", "iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 8 * 3600}
NO_HS256 = (
    "jwt.algorithms: allows {} only, so tokens come from the issuer of jwt.jwks_file or jwt.jwks_url; get one there, or"
    " add HS256 and set CARECASE_JWT_SECRET"
)
NO_SECRET = (
    "jwt.secret: is not set, so no token can be signed; set CARECASE_JWT_SECRET to the intake's secret (make one with:"
    " openssl rand -hex 32), or name the intake's configuration with --config"
)


def settings(**variables: object) -> JwtSettings:
    return JwtSettings.model_validate(variables)


@pytest.mark.parametrize(
    ("variables", "claims"),
    [
        ({}, CLAIMS),
        ({"algorithms": ["RS256", "HS256"]}, CLAIMS),
        ({"issuer": "us"}, {**CLAIMS, "iss": "us"}),
        ({"audience": "carecase", "issuer": "us"}, {**CLAIMS, "iss": "us", "aud": "carecase"}),
    ],
)
def test_a_token_names_client_user_and_end_and_what_the_intake_asks_for(
    variables: dict[str, object], claims: dict[str, object]
) -> None:
    token = sign(ANN, settings(secret=SECRET, **variables), NOW)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    held_claims = jwt.decode(
        token, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_aud": False, "verify_iat": False}
    )
    assert held_claims == claims


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, NO_SECRET),
        ({"algorithms": ["HS256", "RS256"]}, NO_SECRET),
        ({"algorithms": ["RS256"]}, NO_HS256.format("RS256")),
        ({"algorithms": ["RS256", "ES256"], "secret": SECRET}, NO_HS256.format("RS256 and ES256")),
    ],
)
def test_what_there_is_to_do_where_no_token_can_be_signed(variables: dict[str, object], expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        sign(ANN, settings(**variables), NOW)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("variables", "lacks"),
    [
        ({}, True),
        ({"secret": SECRET}, False),
        ({"algorithms": ["RS256"]}, False),
        ({"algorithms": ["ES256", "HS256"]}, True),
    ],
)
def test_a_secret_is_lacking_where_hs256_is_allowed(variables: dict[str, object], lacks: bool) -> None:
    assert lacks_secret(settings(**variables)) is lacks
