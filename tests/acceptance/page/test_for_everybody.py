"""The page for jobs for whoever uses it: by keyboard, by screen reader, on a narrow screen, in the dark, on paper."""

import json
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import Visitor
from tests.acceptance.system import System
from tests.builders import a_case

NARROW, WIDE = {"width": 320, "height": 640}, {"width": 1600, "height": 900}


@pytest.fixture
def job(system: System, first_key: int) -> str:
    """A job of which an item has failed."""
    job = system.send([a_case(first_key), a_case(first_key + 1, case_Status="far too long")])
    system.final(job)
    return job


@pytest.fixture
def file(first_key: int, tmp_path: Path) -> Path:
    """A file of which an item breaks a rule."""
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps([a_case(first_key), a_case(first_key + 1, case_Status="far too long")]))
    return cases


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_no_view_has_a_fault_that_axe_finds_or_is_wider_than_the_screen(
    visit: Visit, axe: str, job: str, file: Path, size: dict[str, int], scheme: Literal["light", "dark"]
) -> None:
    visitor = visit(viewport=size, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    page = visitor.page

    def is_well(view: str) -> None:
        assert visitor.violations(axe) == [], view
        assert not visitor.is_wider_than_the_screen(), view

    visitor.open()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    is_well("sign in")
    visitor.sign_in()
    expect(page.get_by_role("link", name=job[-8:])).to_be_visible()
    is_well("jobs")
    page.get_by_label("Database").fill("nowhere")
    page.get_by_label("Database").press("Enter")
    expect(page.get_by_text("No job is in nowhere.")).to_be_visible()
    is_well("no jobs")
    visitor.open(f"#/jobs/{job}")
    expect(page.get_by_role("table")).to_be_visible()
    is_well("a job")
    page.evaluate("location.hash = '#/jobs/00000000-0000-7000-8000-000000000000'")
    expect(visitor.alert("There is no such job.")).to_be_visible()
    is_well("no job")
    visitor.choose(file)
    visitor.check()
    expect(page.get_by_role("table")).to_be_visible()
    is_well("a file")
    visitor.try_it()
    expect(page.get_by_text("Nothing was applied.")).to_be_visible()
    expect(page.get_by_role("table", name="What would be refused, by field and rule")).to_be_visible()
    is_well("a file that was tried")
    page.get_by_role("link", name="a job of its own").click()
    expect(page.get_by_text("Dry run", exact=True)).to_be_visible()
    expect(page.get_by_role("table", name="Failed items by field and rule")).to_be_visible()
    is_well("a dry run")
    page.evaluate("location.hash = '#/nowhere'")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_focused()
    is_well("nothing")


def test_all_is_done_by_keyboard_alone(visit: Visit, file: Path) -> None:
    visitor = visit()
    page = visitor.page
    visitor.open()

    def on(name: str, key: str = "Enter", most: int = 30) -> None:
        """Go on to what has this name, and press a key there."""
        for _ in range(most):
            page.keyboard.press("Tab")
            if focused(visitor).startswith(name):
                page.keyboard.press(key)
                return
        raise AssertionError(f"{name} is not reached by Tab")

    on("Skip to the content")
    on("API key", "Delete")
    page.keyboard.insert_text(visitor.api_key)
    on("Bearer token", "Delete")
    page.keyboard.insert_text(visitor.bearer)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()
    on("Send a file")
    expect(page.get_by_role("heading", name="Send a file")).to_be_focused()
    on("Database", "End")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("demo")
    with page.expect_file_chooser() as chooser:
        on("Drop a file here", "Space")
    chooser.value.set_files(file)
    expect(page.get_by_role("button", name="Check the file")).to_be_visible()
    on("Check the file")
    expect(page.get_by_role("button", name="Try against the database")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Send 2 items for real all the same")).to_be_focused()
    expect(page.get_by_text("Of 2 items, 1 would be created, 1 would be refused. Nothing was applied.")).to_be_visible()
    page.keyboard.press("Enter")
    expect(visitor.state()).to_have_text("Completed")
    expect(page.locator("h1")).to_be_focused()
    expect(page.get_by_role("button", name="Download 1 failed item")).to_be_visible()
    with page.expect_download():
        on("Download 1 failed item")


def test_on_paper_it_has_what_the_job_is_and_nothing_to_press(visit: Visit, job: str) -> None:
    visitor = visit()
    visitor.sign_in(f"#/jobs/{job}")
    expect(visitor.page.get_by_role("table")).to_be_visible()
    visitor.page.emulate_media(media="print")
    assert visitor.page.get_by_role("button").count() == 0
    assert visitor.page.get_by_role("link").all_text_contents() == ["CareCase jobs"]
    expect(visitor.page.get_by_text("must have at most 8 characters")).to_be_visible()
    expect(visitor.page.get_by_text(job)).to_be_visible()
    assert visitor.page.pdf().startswith(b"%PDF-")


def focused(visitor: Visitor) -> str:
    """The label or text of what has the focus."""
    return str(
        visitor.page.evaluate(
            "(document.activeElement.labels?.[0] ?? document.activeElement).textContent.replace(/\\s+/g, ' ').trim()"
        )
    )
