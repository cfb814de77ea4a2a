"""An answer that is not the provider's to this sign-in signs nobody in."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.acceptance.page.sign_in.windows import begin, come_anew, is_in, sign_in
from tests.acceptance.page.visitors import Visitor
from tests.issuer import Issuer


def test_an_answer_with_another_state_signs_nobody_in(come: Callable[..., Visitor], issuer: Issuer) -> None:
    issuer.faults.answer = {"state": "of-somebody-else"}
    visitor = come()
    window = begin(visitor)
    window.get_by_role("button", name="Sign in").click()
    expect(window.get_by_text("No page waits for this answer, so nobody was signed in.")).to_be_visible()
    assert "code" not in window.url
    expect(visitor.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert issuer.refresh_tokens == {}, "its code was not used"
    issuer.faults.answer = {}
    sign_in(visitor)
    is_in(visitor)


FOREIGN = "is not the answer to this sign-in"
WRONG_ANSWERS: list[tuple[dict[str, Any], str]] = [
    ({"claims": {"nonce": "another"}}, f"{FOREIGN} (nonce), so nobody was signed in. Sign in again"),
    ({"claims": {"nonce": None}}, f"{FOREIGN} (nonce)"),
    ({"claims": {"iss": "https://evil.example"}}, f"{FOREIGN} (iss)"),
    ({"claims": {"aud": "another"}}, f"{FOREIGN} (aud)"),
    ({"claims": {"aud": ["demo", "another"], "azp": "another"}}, f"{FOREIGN} (aud)"),
    ({"claims": {"exp": 1_000_000_000}}, "had already ended. Check the clock of this computer"),
    ({"answer": {"iss": "https://evil.example"}}, f"{FOREIGN} (iss)"),
    (
        {"answer": {"iss": None}, "document": {"authorization_response_iss_parameter_supported": True}},
        f"{FOREIGN} (iss)",
    ),
    ({"answer": {"code": "of-somebody-else"}}, "This sign-in has ended, or was used before. Sign in again."),
    ({"answer": {"code": "", "error": "server_error"}}, "did not sign you in (server_error). Try again"),
    ({"answer": {"code": "", "error": "<img src=x>"}}, "did not sign you in. Try again"),
    ({"tokens": {"access_token": "opaque"}}, "oidc.audience or oidc.scopes must name the service."),
    ({"away": {"/token"}}, "does not answer, or does not let this page ask it. Try again in a minute"),
]  # fmt: skip


def test_what_is_wrong_with_an_answer_is_shown_and_nobody_is_signed_in(
    come: Callable[..., Visitor], issuer: Issuer, subtests: pytest.Subtests
) -> None:
    """One visitor sees all of it: a new one for each would take as long again."""
    visitor = come()
    for faults, words in WRONG_ANSWERS:
        with subtests.test(str(faults)):
            come_anew(visitor)
            for name, value in faults.items():
                setattr(issuer.faults, name, value)
            sign_in(visitor)
            expect(visitor.alert(words)).to_be_visible()
            expect(visitor.page.get_by_role("button", name=re.compile("Sign in with"))).to_be_focused()
            expect(visitor.page.get_by_role("button", name="Sign out")).to_be_hidden()
            issuer.faults = type(issuer.faults)()
            sign_in(visitor)
            is_in(visitor)
        issuer.as_new()


def test_the_policy_lets_the_page_ask_the_issuer_and_nobody_else(come: Callable[..., Visitor], issuer: Issuer) -> None:
    visitor = come()
    response = visitor.page.request.get(f"{visitor.url}/app")
    policy = dict(part.strip().partition(" ")[::2] for part in response.headers["content-security-policy"].split(";"))
    assert policy["connect-src"] == f"'self' {issuer.url}"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["form-action"] == "'none'"
    document = json.loads(visitor.page.request.get(f"{visitor.url}/app/settings.json").text())
    assert (document["oidc"]["issuer"], document["oidc"]["clientId"], document["oidc"]["scope"]) == (
        issuer.url,
        "demo",
        "openid",
    )
