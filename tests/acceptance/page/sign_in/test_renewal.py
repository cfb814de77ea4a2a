"""A token that ends is renewed, or asked for, and the page stays as it is."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route, expect
from tests.acceptance.page.sign_in.windows import asked_until, is_in, sign_in
from tests.acceptance.page.visitors import Visitor
from tests.acceptance.system import eventually
from tests.issuer import Issuer


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
    assert [text for text in visitor.console.texts() if "401" in text] == [], "before the service refuses it"


@pytest.mark.parametrize("claims", [{"sub": "eve"}, {"iss": "https://evil.example"}])
def test_tokens_of_somebody_else_are_not_taken_in_place_of_those_that_have_ended(
    come: Callable[..., Visitor], issuer: Issuer, claims: dict[str, Any]
) -> None:
    """Tokens of another issuer are not taken either: there, the same name may stand for somebody else."""
    issuer.lifetime_s = 1
    visitor = come()
    sign_in(visitor)
    is_in(visitor)
    issuer.faults.claims = claims
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


@pytest.mark.parametrize("error", ["interaction_required", "login_required", "consent_required"])
def test_a_provider_that_wants_to_see_them_leads_to_the_question(
    come: Callable[..., Visitor], issuer: Issuer, error: str
) -> None:
    issuer.lifetime_s = 1
    visitor = come()
    sign_in(visitor)
    is_in(visitor)
    issuer.faults.renewal = (400, error)
    dialog = visitor.page.get_by_role("dialog", name="Sign in again")
    asked_until(visitor, dialog)
    issuer.lifetime_s = 3600
    sign_in(visitor)
    expect(dialog).to_be_hidden()
    is_in(visitor)


@pytest.mark.parametrize("refusal", [(400, "temporarily_unavailable"), (429, "slow_down")])
def test_a_provider_that_is_busy_is_asked_again_later(
    come: Callable[..., Visitor], issuer: Issuer, refusal: tuple[int, str]
) -> None:
    issuer.lifetime_s = 1
    visitor = come()
    sign_in(visitor)
    is_in(visitor)
    issuer.faults.renewal = refusal
    busy = visitor.page.get_by_text("The page tries again in").first
    asked_until(visitor, busy)
    issuer.lifetime_s, issuer.faults.renewal = 3600, None
    expect(busy).to_be_hidden()
    is_in(visitor)


def test_while_the_provider_is_away_a_token_that_has_ended_is_shown_and_renewed_later(
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


def test_whoever_signs_out_while_a_token_is_renewed_is_not_asked_to_sign_in_again(
    come: Callable[..., Visitor], issuer: Issuer
) -> None:
    issuer.lifetime_s, issuer.faults.document = 20, {"end_session_endpoint": None}
    visitor = come()
    page, held = visitor.page, list[Route]()

    def hold(route: Route) -> None:
        if "grant_type=refresh_token" in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route("**/token", hold)
    sign_in(visitor)
    is_in(visitor)
    eventually(lambda: page.evaluate("true") and held, what="a renewal has begun")
    page.get_by_role("button", name="Sign out").click()
    eventually(lambda: page.evaluate("true") and issuer.revoked == ["ada"], what="its refresh token is forgotten")
    with page.expect_response("**/token") as refused:
        held[0].continue_()
    assert refused.value.json() == {"error": "invalid_grant"}
    page.evaluate("new Promise(requestAnimationFrame)")  # a dialog would be drawn with the next frame
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
