"""The windows in which visitors sign in with the provider."""

import re
from contextlib import suppress
from itertools import cycle

from playwright.sync_api import Locator, Page, TimeoutError, expect
from tests.acceptance.page.visitors import Visitor
from tests.acceptance.system import NO_RATE, eventually

PREFIX = "/tools/carecase"
CONFIG = f'{NO_RATE}root_path = "{PREFIX}"\n'


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
