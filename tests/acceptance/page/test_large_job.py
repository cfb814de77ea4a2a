"""The page for jobs with a job of a million items: it stays usable, and holds no million of anything."""

from pathlib import Path

from playwright.sync_api import expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.system import System

ITEMS = 1_000_000
MOST_NODES = 3000
WATCH = """() => {
    window.longest = 0;
    let last = performance.now();
    setInterval(() => {
        const now = performance.now();
        [longest, last] = [Math.max(longest, now - last), now];
    }, 1);
}"""
"""Notes for how many milliseconds the page has not reacted, at most."""

LOOKED_AT_MORE = """() => {
    const told = document.querySelector("section .row [role=status]").textContent;
    return Number(told.split(" ")[0].replaceAll(",", "")) > 110_000;
}"""


def test_a_million_items_of_which_all_fail_do_not_freeze_it(visit: Visit, system: System, tmp_path: Path) -> None:
    file = tmp_path / "million.ndjson"
    file.write_bytes(b'{"case_Key":1}\n' * ITEMS)
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    visitor.choose(file)
    visitor.skip_check()
    visitor.send()
    expect(page.locator(".pace", has_text="left")).to_be_visible()
    expect(visitor.state()).to_have_text("Completed", timeout=600_000)
    expect(page.get_by_text("of 1,000,000 failed items looked at.")).to_be_visible()
    page.evaluate(WATCH)
    more = page.get_by_role("button", name="Look at the rest, too")
    expect(more).to_be_visible(timeout=300_000)
    expect(page.get_by_text("100,000 of 1,000,000 failed items looked at.")).to_be_visible()
    more.click()
    page.wait_for_function(LOOKED_AT_MORE, timeout=300_000)
    assert page.evaluate("document.querySelectorAll('*').length") < MOST_NODES
    # it goes on meanwhile, so whoever leaves need not wait for it
    page.get_by_role("link", name="All jobs").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()
    assert page.evaluate("longest") < 1000
