"""A sign-in that cannot begin, or is declined, is reported on the page."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.acceptance.page.sign_in.windows import begin, closes, come_anew
from tests.acceptance.page.visitors import Visitor
from tests.issuer import Issuer

WRONG_PROVIDERS: list[tuple[dict[str, Any], str]] = [
    ({"away": {"/.well-known/openid-configuration"}}, "which signs you in, does not answer"),
    ({"document": {"issuer": "https://evil.example"}}, "by another name than the setting oidc.issuer."),
    ({"document": {"token_endpoint": "https://evil.example/token"}}, "named by the setting oidc.token_endpoint."),
    ({"document": {"authorization_endpoint": "javascript:alert(1)"}}, "endpoint is missing, or not https."),
    ({"document": {"token_endpoint": None}}, "its token_endpoint is missing, or not https."),
]  # fmt: skip


def test_a_provider_that_cannot_be_asked_is_reported_before_anybody_leaves_the_page(
    come: Callable[..., Visitor], issuer: Issuer, subtests: pytest.Subtests
) -> None:
    visitor = come()
    for faults, words in WRONG_PROVIDERS:
        with subtests.test(str(faults)):
            come_anew(visitor)
            for name, value in faults.items():
                setattr(issuer.faults, name, value)
            window = begin(visitor)
            expect(visitor.alert(words)).to_be_visible()
            closes(visitor, window)
        issuer.as_new()


def test_they_may_decline_and_the_page_says_so(come: Callable[..., Visitor], issuer: Issuer) -> None:
    visitor = come()
    begin(visitor).get_by_role("button", name="Decline").click()
    expect(visitor.alert("did not sign you in: it was declined, or you may not use this service.")).to_be_visible()


def test_a_browser_that_opens_no_window_is_reported(come: Callable[..., Visitor], issuer: Issuer) -> None:
    visitor = come()
    visitor.page.evaluate("window.open = () => null")
    visitor.page.get_by_role("button", name=re.compile("Sign in with")).click()
    expect(visitor.alert("Allow pop-up windows for this page, and press the button again.")).to_be_visible()
