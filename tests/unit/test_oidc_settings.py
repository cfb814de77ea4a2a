"""Settings of the sign-in with an OpenID provider: what it needs, what the page may ask, and the mistakes in both."""

import pytest

from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import load

ISSUER = "https://login.example/realms/care"
RIGHT = {
    "CARECASE_JWT_ALGORITHMS": "RS256",
    "CARECASE_JWT_JWKS_URL": f"{ISSUER}/certs",
    "CARECASE_JWT_ISSUER": ISSUER,
    "CARECASE_JWT_AUDIENCE": "carecase",
    "CARECASE_OIDC_ISSUER": ISSUER,
    "CARECASE_OIDC_CLIENT_ID": "carecase-page",
}


def refusal_of(variables: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        load(None, {name: value for name, value in variables.items() if value})
    return str(refused.value)


def test_it_is_off_by_default() -> None:
    oidc = load(None, {}).oidc
    assert (oidc.issuer, oidc.scopes, oidc.origins) == (None, ("openid",), ())


def test_the_page_may_ask_the_issuer_and_a_token_endpoint_that_is_set() -> None:
    assert load(None, RIGHT).oidc.origins == ("https://login.example",)
    elsewhere = load(None, RIGHT | {"CARECASE_OIDC_TOKEN_ENDPOINT": "https://tokens.example:8443/token?x=1"}).oidc
    assert elsewhere.origins == ("https://login.example", "https://tokens.example:8443")


def test_scopes_come_by_commas() -> None:
    scopes = load(None, RIGHT | {"CARECASE_OIDC_SCOPES": "openid, offline_access,api://cases/.default"}).oidc.scopes
    assert scopes == ("openid", "offline_access", "api://cases/.default")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"CARECASE_OIDC_CLIENT_ID": ""}, "oidc.client_id: must be set: the id of the page at oidc.issuer"),
        ({"CARECASE_OIDC_SCOPES": "profile"}, "oidc.scopes: must have openid"),
        ({"CARECASE_OIDC_SCOPES": 'openid,a"b'}, "oidc.scopes: must be scopes as openid or offline_access"),
        ({"CARECASE_OIDC_ISSUER": ""}, "oidc.client_id: needs oidc.issuer, which signs people in"),
        ({"CARECASE_OIDC_ISSUER": "http://login.example"}, "oidc.issuer: must be https://host/path"),
        ({"CARECASE_OIDC_ISSUER": f"{ISSUER}?x=1"}, "oidc.issuer: must be the issuer as its tokens name it"),
        ({"CARECASE_OIDC_ISSUER": f"{ISSUER}#x"}, "oidc.issuer: must be the issuer as its tokens name it"),
        ({"CARECASE_OIDC_ISSUER": "https://a.example;script-src *"}, "oidc.issuer: must be https://host/path"),
        ({"CARECASE_OIDC_TOKEN_ENDPOINT": "javascript:1"}, "oidc.token_endpoint: must be https://host/path"),
    ],
)
def test_a_mistake_is_reported_with_what_it_should_be(changed: dict[str, str], text: str) -> None:
    (mistake,) = refusal_of(RIGHT | changed).splitlines()
    assert text in mistake, "and what follows from it is no mistake of its own"


def test_the_service_must_take_the_tokens_of_the_issuer() -> None:
    variables = {name: value for name, value in RIGHT.items() if "OIDC" in name}
    assert "jwt.algorithms: must have RS256 or ES256: the tokens of oidc.issuer are signed" in refusal_of(variables)
