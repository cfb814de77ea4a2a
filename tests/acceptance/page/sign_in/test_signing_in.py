"""Visitors sign in and out with the provider, or with a token, in any number of windows."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import expect
from tests.acceptance.page.sign_in.windows import PREFIX, begin, closes, is_in, sign_in
from tests.acceptance.page.visitors import Visitor
from tests.acceptance.system import System
from tests.browsers import Opened
from tests.builders import a_case
from tests.issuer import Issuer


@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_they_sign_in_and_out_with_the_provider_and_nothing_of_it_is_stored(
    come: Callable[..., Visitor], issuer: Issuer, system: System, first_key: int, prefix: str
) -> None:
    job = system.send([a_case(first_key)])
    system.final(job)
    visitor = come(prefix, f"#/jobs/{job}")
    page = visitor.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    window = begin(visitor)
    window.get_by_role("button", name="Sign in").click()
    is_in(visitor)
    expect(visitor.state()).to_have_text("Completed")
    expect(page.get_by_text("Ada · demo")).to_be_visible()
    closes(visitor, window)
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert page.url == f"{visitor.url}/app#/jobs/{job}"
    assert [url for url in asked if not url.startswith((f"{visitor.url}/", f"{issuer.url}/"))] == []

    opened = Opened(page)
    page.get_by_role("button", name="Sign out").click()
    opened.wait_for(page.get_by_role("heading", name="Sign in").is_visible)
    expect(page).to_have_url(f"{visitor.url}/app")
    assert (issuer.ended, issuer.revoked) == (["ada"], ["ada"])
    assert page.get_by_label("API key").input_value() == ""
    assert [text for text in visitor.console.texts() if "Failed to load resource" not in text] == []


def test_a_request_for_the_providers_endpoints_that_gets_no_answer_is_repeated_unseen(
    come: Callable[..., Visitor], issuer: Issuer
) -> None:
    visitor = come()
    visitor.page.route("**/.well-known/openid-configuration", lambda route: route.abort(), times=1)
    sign_in(visitor)
    is_in(visitor)


def test_a_wrong_api_key_is_shown_and_the_right_one_needs_no_second_window(
    come: Callable[..., Visitor], issuer: Issuer
) -> None:
    visitor = come()
    key = visitor.page.get_by_label("API key")
    key.fill("wrong")
    sign_in(visitor)
    expect(visitor.alert("The API key is not known.")).to_be_visible()
    expect(key).to_be_focused()
    key.fill(visitor.api_key)
    visitor.page.get_by_role("button", name=re.compile("Sign in with")).click()
    is_in(visitor)
    assert len(issuer.refresh_tokens) == 1


def test_a_token_may_be_used_instead(come: Callable[..., Visitor], issuer: Issuer) -> None:
    visitor = come()
    page = visitor.page
    page.get_by_text("Use a bearer token instead").click()
    expect(page.get_by_role("button", name=re.compile("Sign in with"))).to_be_hidden()
    page.get_by_label("Bearer token").fill(visitor.bearer)
    page.get_by_role("button", name="Sign in", exact=True).click()
    is_in(visitor)


def test_two_pages_sign_in_at_once_and_each_gets_its_own_answer(come: Callable[..., Visitor], issuer: Issuer) -> None:
    first = come()
    other = replace(first, page=first.page.context.new_page())
    other.open()
    other.page.get_by_label("API key").fill(other.api_key)
    windows = [begin(first), begin(other)]
    for window, user in zip(windows, ("ada", "eve"), strict=True):
        window.get_by_label("User").fill(user)
        window.get_by_role("button", name="Sign in").click()
    expect(first.page.get_by_text("Ada · demo")).to_be_visible()
    expect(other.page.get_by_text("Eve · demo")).to_be_visible()


def test_whoever_cannot_be_signed_out_with_the_provider_is_told_to_do_that(
    come: Callable[..., Visitor], issuer: Issuer
) -> None:
    issuer.faults.document = {"end_session_endpoint": None}
    visitor = come()
    sign_in(visitor)
    is_in(visitor)
    visitor.page.get_by_role("button", name="Sign out").click()
    expect(visitor.alert("on a computer that others use, sign out there, too.")).to_be_visible()
