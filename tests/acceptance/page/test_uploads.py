"""The page for jobs: a file that is being sent is not stopped by accident."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import CDPSession, Dialog, expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import Visitor, cases_file
from tests.acceptance.system import eventually

Sending = tuple[Visitor, CDPSession]


@pytest.fixture
def sending(visit: Visit, first_key: int, tmp_path: Path) -> Sending:
    """A visitor whose file is being sent over a slow network; it is fast once that is detached."""
    visitor = visit()
    visitor.sign_in()
    return visitor, visitor.begin_slowly(cases_file(tmp_path, first_key, 4000, note="x" * 200))


def test_whoever_leaves_the_view_while_a_file_is_sent_is_asked_first(sending: Sending) -> None:
    page = sending[0].page
    question = page.get_by_role("dialog", name="Stop sending the file?")
    link = page.get_by_role("link", name="Jobs", exact=True)
    link.click()
    question.get_by_role("button", name="Go on sending").click()
    expect(page).to_have_url(re.compile("#/send$"))
    page.go_back()
    expect(question).to_have_count(0)
    page.go_back()
    expect(question).to_be_visible()
    page.evaluate("location.hash = '#/jobs?state=failed'")
    with page.expect_event("requestfailed", lambda request: request.method == "PUT"):
        question.get_by_role("button", name="Stop sending").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()
    expect(question).to_have_count(0)


def test_a_file_that_arrives_while_somebody_is_asked_leads_to_its_job(sending: Sending) -> None:
    visitor, slow = sending
    page = visitor.page
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("dialog", name="Stop sending the file?")).to_be_visible()
    slow.detach()
    expect(visitor.state()).to_have_text("Completed")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert len(visitor.job_id()) == 36


def test_whoever_closes_the_page_while_a_file_is_sent_is_asked_first(sending: Sending) -> None:
    visitor, slow = sending
    page, asked = visitor.page, list[str]()

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.close(run_before_unload=True)
    eventually(lambda: page.evaluate("true") and asked, what="they are asked")
    slow.detach()
    expect(visitor.state()).to_have_text("Completed")
    assert asked == ["beforeunload"]
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    assert asked == ["beforeunload"]


def test_while_a_file_is_sent_nothing_can_be_chosen_that_would_make_it_another(sending: Sending) -> None:
    page = sending[0].page
    fields = [page.get_by_label(name) for name in ("Database", "Care plan (optional)", "All items or none")]
    fields += [page.locator(name) for name in ("#file", "#mapping")]
    for field in fields:
        expect(field).to_be_disabled()
    page.get_by_role("button", name="Stop").click()
    for field in fields:
        expect(field).to_be_enabled()
