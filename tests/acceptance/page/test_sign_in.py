"""The page for jobs with an OpenID provider that signs people in: rightly, wrongly, and while something is away."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from typing import Any, Literal

import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import Visitor
from tests.acceptance.system import NO_RATE, System, eventually, intake_beside
from tests.builders import a_case
from tests.issuer import Issuer, an_issuer, settings_of

PREFIX = "/tools/carecase"
CONFIG = f'{NO_RATE}root_path = "{PREFIX}"\n'
FOREIGN = "is not the answer to this sign-in"


@pytest.fixture(scope="module")
def the_issuer() -> Iterator[Issuer]:
    with an_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def beside(system: System, the_issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """An intake of the system that takes the provider's tokens, under a prefix."""
    with intake_beside(system, tmp_path_factory.mktemp("signed-in"), CONFIG + settings_of(the_issuer)) as intake:
        url = intake.stack["intake"]["url"]
        the_issuer.redirect_uris += [f"{url}{prefix}/app/signed-in.html" for prefix in ("", PREFIX)]
        yield intake


@pytest.fixture
def issuer(the_issuer: Issuer) -> Issuer:
    the_issuer.as_new()
    return the_issuer


@pytest.fixture
def come(visit: Visit, beside: System) -> Callable[..., Visitor]:
    """Makes visitors who have opened the page, and typed their API key."""

    def came(prefix: str = PREFIX, address: str = "", **options: Any) -> Visitor:
        visitor = visit(beside, **options)
        visitor = replace(visitor, url=visitor.url + prefix)
        come_anew(visitor, address)
        return visitor

    return came


def come_anew(visitor: Visitor, address: str = "") -> None:
    """Open the page, as somebody who is not signed in, and type the API key."""
    visitor.open(address)
    visitor.page.get_by_label("API key").fill(visitor.api_key)


def begin(visitor: Visitor) -> Page:
    """Press the button, and return the window that opens."""
    with visitor.page.expect_popup() as opened:
        visitor.page.get_by_role("button", name=re.compile("Sign in with 127.0.0.1:")).last.click()
    return opened.value


def sign_in(visitor: Visitor, user: str = "ada") -> None:
    window = begin(visitor)
    window.get_by_label("User").fill(user)
    window.get_by_role("button", name="Sign in").click()


def closes(visitor: Visitor, window: Page) -> None:
    eventually(lambda: visitor.page.evaluate("true") and window.is_closed(), what="the window is closed")


def is_in(visitor: Visitor) -> None:
    expect(visitor.page.get_by_role("button", name="Sign out")).to_be_visible()


def asked_until(visitor: Visitor, seen: Locator) -> None:
    """Have the page ask the service for one thing after the other until something is seen: idle, it asks seldom."""
    states = cycle(("cancelled", "completed"))

    def is_seen() -> bool:
        if seen.is_visible():
            return True
        with suppress(TimeoutError):  # a dialog has come over it
            visitor.page.get_by_label("State").select_option(next(states), timeout=2000)
        return False

    eventually(is_seen, what=f"{seen} is seen")


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

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page).to_have_url(f"{visitor.url}/app")
    assert (issuer.ended, issuer.revoked) == (["ada"], ["ada"])
    assert page.get_by_label("API key").input_value() == ""
    assert [text for text in visitor.said if "Failed to load resource" not in text] == []


@pytest.mark.parametrize(("rotates", "tokens"), [(True, {}), (False, {}), (True, {"expires_in": None})])
def test_a_token_that_is_about_to_end_is_renewed_without_anybody(
    come: Callable[..., Visitor], issuer: Issuer, rotates: bool, tokens: dict[str, Any]
) -> None:
    """Also if the first refresh token is good for all times, or if only the token itself tells when it ends."""
    issuer.lifetime_s, issuer.rotates, issuer.faults.tokens = 20, rotates, tokens
    visitor = come()
    sign_in(visitor)
    is_in(visitor)
    eventually(lambda: issuer.renewals >= 1)
    visitor.page.get_by_label("State").select_option("cancelled")
    expect(visitor.page.get_by_text("cancelled").last).to_be_visible()
    eventually(lambda: issuer.renewals >= 2)
    eventually(lambda: len(issuer.refresh_tokens) == 1, what="the next one is given for the one that was used")
    assert [text for text in visitor.said if "401" in text] == [], "before the service refuses it"


def test_tokens_of_somebody_else_are_not_taken_in_place_of_those_that_have_ended(
    come: Callable[..., Visitor], issuer: Issuer
) -> None:
    issuer.lifetime_s = 1
    visitor = come()
    sign_in(visitor)
    is_in(visitor)
    issuer.faults.claims = {"sub": "eve"}
    dialog = visitor.page.get_by_role("dialog", name="Sign in again")
    asked_until(visitor, dialog)
    issuer.lifetime_s, issuer.faults.claims = 3600, {}
    sign_in(visitor)
    expect(dialog).to_be_hidden()
    is_in(visitor)


def test_without_a_refresh_token_they_are_asked_and_the_page_stays_as_it_is(
    come: Callable[..., Visitor], issuer: Issuer
) -> None:
    issuer.lifetime_s, issuer.gives_refresh_tokens = 1, False
    visitor = come(address="#/jobs?database=demo_sqlite")
    page = visitor.page
    sign_in(visitor)
    is_in(visitor)
    dialog = page.get_by_role("dialog", name="Sign in again")
    asked_until(visitor, dialog)
    issuer.lifetime_s = 3600
    sign_in(visitor, "eve")
    expect(visitor.alert("Somebody else has signed in. Sign in as before, or sign out first.")).to_be_visible()
    sign_in(visitor)
    expect(dialog).to_be_hidden()
    is_in(visitor)
    expect(page.get_by_label("Database")).to_have_value("demo_sqlite")
    expect(page.get_by_text(re.compile("in demo_sqlite"))).to_be_visible()


def test_a_refresh_token_that_is_refused_leads_to_the_question_and_that_to_the_sign_in(
    come: Callable[..., Visitor], issuer: Issuer
) -> None:
    issuer.lifetime_s = 1
    visitor = come()
    sign_in(visitor)
    is_in(visitor)
    issuer.faults.tokens = {"refresh_token": "of yesterday"}
    dialog = visitor.page.get_by_role("dialog", name="Sign in again")
    # not now, if the token is good for a moment yet
    leave = dialog.get_by_role("button", name=re.compile("Sign out|Not now"))
    signed_out = visitor.page.get_by_role("heading", name="Sign in", exact=True)
    while not signed_out.is_visible():
        asked_until(visitor, dialog.or_(signed_out))
        if leave.is_visible():
            leave.click()
    expect(signed_out).to_be_focused()


def test_while_the_provider_is_away_a_token_that_has_ended_is_told_and_over(
    come: Callable[..., Visitor], issuer: Issuer
) -> None:
    issuer.lifetime_s = 1
    visitor = come()
    sign_in(visitor)
    is_in(visitor)
    issuer.faults.away = {"/token"}
    away = visitor.page.get_by_text("which signs you in, does not answer").first
    asked_until(visitor, away)
    issuer.lifetime_s, issuer.faults.away = 3600, set()
    expect(away).to_be_hidden()
    is_in(visitor)


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


def test_what_is_wrong_with_an_answer_is_told_and_nobody_is_signed_in(
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


WRONG_PROVIDERS: list[tuple[dict[str, Any], str]] = [
    ({"away": {"/.well-known/openid-configuration"}}, "which signs you in, does not answer"),
    ({"document": {"issuer": "https://evil.example"}}, "by another name than the setting oidc.issuer."),
    ({"document": {"token_endpoint": "https://evil.example/token"}}, "named by the setting oidc.token_endpoint."),
    ({"document": {"authorization_endpoint": "javascript:alert(1)"}}, "endpoint is missing, or not https."),
    ({"document": {"token_endpoint": None}}, "its token_endpoint is missing, or not https."),
]  # fmt: skip


def test_a_provider_that_cannot_be_asked_is_told_before_anybody_leaves_the_page(
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


def test_they_may_decline_and_are_told_so(come: Callable[..., Visitor], issuer: Issuer) -> None:
    visitor = come()
    begin(visitor).get_by_role("button", name="Decline").click()
    expect(visitor.alert("did not sign you in: it was declined, or you may not use this service.")).to_be_visible()


def test_a_browser_that_opens_no_window_is_told_of(come: Callable[..., Visitor], issuer: Issuer) -> None:
    visitor = come()
    visitor.page.evaluate("window.open = () => null")
    visitor.page.get_by_role("button", name=re.compile("Sign in with")).click()
    expect(visitor.alert("Allow pop-up windows for this page, and press the button again.")).to_be_visible()


def test_a_wrong_api_key_is_told_and_the_right_one_needs_no_second_window(
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1600])
def test_its_views_have_no_fault_that_axe_finds_and_are_not_wider_than_the_screen(
    come: Callable[..., Visitor], issuer: Issuer, axe: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    size = {"width": width, "height": 700}
    visitor = come(viewport=size, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    page = visitor.page

    def is_well(view: str, looked_at: Visitor = visitor) -> None:
        assert looked_at.violations(axe) == [], view
        assert not looked_at.is_wider_than_the_screen(), view

    is_well("sign in")
    page.get_by_text("Use a bearer token instead").click()
    is_well("sign in with a token")
    page.get_by_text("Use a bearer token instead").click()
    issuer.faults.answer = {"state": "of-somebody-else"}
    window = begin(visitor)
    window.get_by_role("button", name="Sign in").click()
    expect(window.get_by_text("No page waits for this answer")).to_be_visible()
    is_well("the window", replace(visitor, page=window))
    issuer.lifetime_s, issuer.gives_refresh_tokens, issuer.faults.answer = 1, False, {}
    sign_in(visitor)
    is_in(visitor)
    asked_until(visitor, page.get_by_role("dialog", name="Sign in again"))
    is_well("sign in again")


def test_all_is_done_by_keyboard_alone(come: Callable[..., Visitor], issuer: Issuer) -> None:
    visitor = come()
    page = visitor.page
    with page.expect_popup() as opened:
        page.get_by_label("API key").press("Enter")
    opened.value.get_by_label("User").press("Enter")
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()


def test_the_policy_lets_the_page_ask_the_issuer_and_nobody_else(come: Callable[..., Visitor], issuer: Issuer) -> None:
    visitor = come()
    answer = visitor.page.request.get(f"{visitor.url}/app")
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["connect-src"] == f"'self' {issuer.url}"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["form-action"] == "'none'"
    told = json.loads(visitor.page.request.get(f"{visitor.url}/app/settings.json").text())
    assert (told["oidc"]["issuer"], told["oidc"]["clientId"], told["oidc"]["scope"]) == (issuer.url, "demo", "openid")
