"""`carecase doctor` on the sign-in with an OpenID provider: what keeps people out is told, and what to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.commands import Carecase
from tests.issuer import Issuer, an_issuer, settings_of
from tests.plain_http import http_get

PAGE = "https://care.example.org/tools/app"
LEADS_BACK = f"{PAGE}/signed-in.html"
NOT_TRIED = (
    "hint  oidc.client_id: redirect URI and CORS are not checked; for that, give the page's address:"
    " --page https://HOST/app"
)
DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with an_issuer() as made:
        made.redirect_uris.append(LEADS_BACK)
        yield made


@pytest.fixture
def issuer(provider: Issuer) -> Issuer:
    provider.as_new()
    return provider


@pytest.fixture
def sign_in(carecase: Carecase, issuer: Issuer, tmp_path: Path) -> "SignIn":
    return SignIn(carecase, issuer, tmp_path)


class SignIn:
    """What doctor says of the sign-in, by settings that fit the provider, and lines that are added to them."""

    def __init__(self, carecase: Carecase, issuer: Issuer, place: Path) -> None:
        self._carecase, self._issuer, self._place = carecase, issuer, place

    def __call__(self, *options: str, more: str = "", **replaced: tuple[str, str]) -> list[str]:
        config = settings_of(self._issuer)
        for text, other in replaced.values():
            assert text in config
            config = config.replace(text, other)
        (self._place / "c.toml").write_text(f'[redis]\nurl = "redis://127.0.0.1:1/0"\n{config}{more}')
        ran = self._carecase("doctor", "--config", "c.toml", *options)
        lines = ran.out.splitlines()
        return [line for line in lines if line.split(" ", 1)[-1].strip().startswith(("oidc", "jwt.i", "jwt.jwks"))]

    @property
    def is_well(self) -> str:
        return f"ok    oidc: {self._issuer.url} supports the sign-in"


def test_a_provider_that_has_all_is_told_as_well(sign_in: SignIn, issuer: Issuer) -> None:
    assert sign_in() == [NOT_TRIED, sign_in.is_well]
    assert sign_in("--page", PAGE) == [sign_in.is_well]
    assert issuer.renewals == 1


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "S256": ({"code_challenge_methods_supported": ["plain"]},
             "fix   oidc.client_id: the provider does not support PKCE with S256, which the page uses;"
             " enable it there"),
    "no word of PKCE": ({"code_challenge_methods_supported": None},
                        "hint  oidc.client_id: the provider does not announce PKCE; check that the client"
                        " there has it, with S256"),
    "implicit only": ({"response_types_supported": ["id_token"]},
                      "fix   oidc.client_id: the provider does not support the authorization code flow;"
                      " enable it there"),
    "a scope": ({"scopes_supported": ["profile"]},
                "hint  oidc.scopes: the provider does not name openid among its scopes; it may refuse the sign-in"),
    "another name": ({"issuer": "https://login.example.org/"},
                     "fix   oidc.issuer: the provider calls itself https://login.example.org/; set oidc.issuer to"
                     " exactly that"),
    "plain http": ({"authorization_endpoint": "http://login.example.org/authorize"},
                   "fix   oidc.authorization_endpoint: is not published by the provider as an https URL;"
                   " set it"),
    "another host": ({"token_endpoint": "https://tokens.example.org/token"},
                     "fix   oidc.token_endpoint: must be set: it is at another host than the issuer,"
                     " https://tokens.example.org"),
    "no URL": ({"authorization_endpoint": "https://[::1"},
               "fix   oidc.authorization_endpoint: is not published by the provider as an https URL; set it"),
    "no keys": ({"jwks_uri": None},
                "hint  jwt.jwks_url: the provider publishes no jwks_uri;"
                " check that the keys are those of its access tokens"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_provider_publishes_is_held_against_what_the_page_needs(
    sign_in: SignIn, issuer: Issuer, name: str
) -> None:
    issuer.faults.document, line = FAULTS[name]
    assert [one for one in sign_in() if one not in (NOT_TRIED, sign_in.is_well)] == [line]


def test_scopes_that_the_provider_names_are_no_matter(sign_in: SignIn, issuer: Issuer) -> None:
    issuer.faults.document = {"scopes_supported": ["profile", "openid"]}
    assert sign_in() == [NOT_TRIED, sign_in.is_well]


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
def test_an_endpoint_that_is_not_published_is_told_and_not_tried(sign_in: SignIn, issuer: Issuer, name: str) -> None:
    issuer.faults.document = {name: None}
    absent = f"fix   oidc.{name}: is not published by the provider as an https URL; set it"
    assert sign_in("--page", PAGE) == [absent]


def test_a_provider_that_is_away_moved_or_something_else_is_told_with_the_address(
    sign_in: SignIn, issuer: Issuer
) -> None:
    url = f"{issuer.url}{DISCOVERY}"
    issuer.faults.away.add(DISCOVERY)
    away = "does not respond; check the address, the provider, and that this machine trusts its certificate"
    assert sign_in() == [f"fix   oidc.issuer: {url} {away}"]
    issuer.as_new()
    issuer.faults.statuses[DISCOVERY] = 302
    moved = "responds with 302 instead of the configuration document; set oidc.issuer to where it leads"
    assert sign_in() == [f"fix   oidc.issuer: {url} {moved}"]
    issuer.faults.statuses[DISCOVERY] = 200
    for issuer.faults.page in (b"<p>", b"[" * 100_000):
        assert sign_in() == [f"fix   oidc.issuer: {url} is not a configuration document: it is not a JSON object"]


@pytest.mark.parametrize(
    "page", ["http://care.example.org/app", "care.example.org/app", "https://u:p@care.example.org"]
)
def test_an_address_of_the_page_that_nobody_could_open_is_refused(carecase: Carecase, page: str) -> None:
    ran = carecase("doctor", "--page", page)
    assert (ran.status, ran.out) == (2, "")
    output = " ".join(ran.err.split())
    assert "Invalid value for '--page': must " in output
    assert output.endswith(", as https://jobs.example.org/app")
    assert "u:p" not in output


def test_a_document_that_is_not_needed_is_only_hinted_at(sign_in: SignIn, issuer: Issuer) -> None:
    issuer.faults.statuses[DISCOVERY] = 404
    ends = f'authorization_endpoint = "{issuer.url}/authorize"\ntoken_endpoint = "{issuer.url}/token"\n'
    assert [line[:5] for line in sign_in(more=ends)] == ["hint ", "ok   "]


def test_where_both_endpoints_are_set_the_page_does_not_ask_for_the_document(sign_in: SignIn, issuer: Issuer) -> None:
    issuer.faults.origin = "https://another.example.org"
    ends = f'authorization_endpoint = "{issuer.url}/authorize"\ntoken_endpoint = "{issuer.url}/token"\n'
    assert [line.partition(" does not allow")[0] for line in sign_in("--page", PAGE, more=ends)] == [
        "fix   oidc.issuer: its token endpoint"
    ]


def test_keys_other_than_those_of_the_provider_are_told(sign_in: SignIn, issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(f'{{"keys": [{EC_KEY}]}}')
    file = (f'jwks_url = "{issuer.url}/jwks"', 'jwks_file = "keys.json"')
    assert sign_in(file=file)[0] == (
        f"fix   jwt.jwks_file: has none of the keys that the provider signs with; set jwt.jwks_url to {issuer.url}/jwks"
    )
    issuer.faults.keys = []
    assert sign_in(file=file)[0] == (
        f"fix   jwt.jwks_file: the provider's own keys ({issuer.url}/jwks) cannot be read, or none can be used"
    )


def test_a_file_with_the_keys_of_the_provider_is_well(sign_in: SignIn, issuer: Issuer, tmp_path: Path) -> None:
    keys = http_get(f"{issuer.url}/jwks").content
    (tmp_path / "keys.json").write_bytes(keys)
    assert sign_in(file=(f'jwks_url = "{issuer.url}/jwks"', 'jwks_file = "keys.json"')) == [NOT_TRIED, sign_in.is_well]


def test_keys_that_cannot_be_read_are_told_once(sign_in: SignIn, issuer: Issuer) -> None:
    lines = sign_in(url=(f'jwks_url = "{issuer.url}/jwks"', f'jwks_url = "{issuer.url}/nowhere"'))
    (about_keys,) = [line for line in lines if "jwt.jwks_url" in line]
    assert "has none of the keys" not in about_keys


def test_an_issuer_of_tokens_with_another_name_is_told(sign_in: SignIn, issuer: Issuer) -> None:
    assert sign_in(issuer=(f'issuer = "{issuer.url}"\naudience', 'issuer = "https://sts.example.org"\naudience'))[
        0
    ] == (
        "hint  jwt.issuer: differs from oidc.issuer: right only if the iss of the provider's access tokens"
        " is not its own name"
    )


def test_what_the_provider_does_not_allow_to_the_page_is_told(sign_in: SignIn, issuer: Issuer) -> None:
    issuer.faults.origin = "https://another.example.org"
    not_let = "does not allow requests from https://care.example.org; allow that origin (CORS) at the provider"
    assert sign_in("--page", PAGE) == [
        f"fix   oidc.issuer: its configuration document {not_let}",
        f"fix   oidc.issuer: its token endpoint {not_let}",
    ]
    issuer.faults.origin = "https://care.example.org"
    assert sign_in("--page", "https://care.example.org/app") == [
        "fix   oidc.client_id: the provider refuses the client with the redirect URI"
        " https://care.example.org/app/signed-in.html (400); register both there"
    ]
    assert sign_in("--page", f"{PAGE}/") == [sign_in.is_well]
    issuer.faults.away |= {"/token", "/authorize"}
    assert sign_in("--page", PAGE) == [
        "fix   oidc.issuer: its token endpoint does not respond",
        "fix   oidc.authorization_endpoint: does not answer",
    ]


EC_KEY = (
    '{"kty": "EC", "crv": "P-256", "kid": "of another", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
    ' "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'
)
"""The public key of RFC 7515, appendix A.3."""
