"""The page for jobs: a token that is typed in may have its scheme before it, and its end is announced."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect
from tests.acceptance.page.conftest import Visit

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
NO_JOBS = {
    "json": {"data": [], "error": None, "debug": {}},
    "headers": {"x-pagination": '{"TotalCount": 0, "PageSize": 25, "CurrentPage": 1, "TotalPages": 0}'},
}


def test_a_token_may_be_given_with_its_scheme(visit: Visit) -> None:
    visitor = visit()
    replace(visitor, api_key=f" {visitor.api_key} ", bearer=f"Bearer {visitor.bearer}").sign_in()


@pytest.mark.parametrize("stray", ["\u200b", "…", "”"], ids=["invisible", "dots", "a curly quote"])
@pytest.mark.parametrize("label", ["API key", "Bearer token"])
def test_a_character_that_cannot_be_sent_is_refused_where_it_was_pasted(visit: Visit, label: str, stray: str) -> None:
    visitor = visit()
    page, asked = visitor.page, list[str]()
    visitor.open()
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("API key").fill(visitor.api_key)
    page.get_by_label("Bearer token").fill(visitor.bearer)
    field, button = page.get_by_label(label), page.get_by_role("button", name="Sign in")
    right = field.input_value()
    field.fill(right + stray)
    button.click()
    expect(field).to_be_focused()
    assert "a character that cannot be sent" in field.evaluate("field => field.validationMessage")
    assert asked == []
    field.fill(right)
    button.click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@pytest.mark.parametrize(
    ("left_s", "words"), [(301, ""), (299, "Your token ends in 5 min."), (61, "Your token ends in 2 min.")]
)
def test_a_token_that_ends_within_five_minutes_is_announced(visit: Visit, left_s: int, words: str) -> None:
    claims = {"client_id": "demo", "sub": "ann", "exp": NOW.timestamp() + left_s}
    token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims))
    visitor = replace(visit(), api_key="key", bearer=f"{token}.signature")
    page = visitor.page
    page.clock.set_fixed_time(NOW)
    page.route("**/jobs?*", lambda route: route.fulfill(**NO_JOBS))
    page.route("**/jobs/events", lambda route: route.fulfill(content_type="text/event-stream", body=""))
    visitor.sign_in()
    expect(page.get_by_text("ann · demo")).to_be_visible()
    expect(page.locator(".ends")).to_have_text(words)
