"""The sign-in is usable by keyboard, by screen readers and on narrow screens."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
from playwright.sync_api import expect
from tests.acceptance.page.sign_in.windows import asked_until, begin, is_in, sign_in
from tests.acceptance.page.visitors import Visitor
from tests.issuer import Issuer


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
