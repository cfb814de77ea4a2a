"""The page for jobs: cancelling a job and sending items again, where something comes between."""

import re
from typing import Any

from playwright.sync_api import Route, expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.system import System
from tests.builders import a_case
from tests.pausing import paused_workers


def test_a_cancel_that_failed_stays_shown_while_the_job_goes_on(visit: Visit, system: System, first_key: int) -> None:
    with paused_workers(system):
        job = system.send([a_case(first_key)])
        visitor = visit()
        page = visitor.page
        page.route(
            f"**/jobs/{job}", lambda route: route.abort() if route.request.method == "DELETE" else route.continue_()
        )
        with page.expect_response(f"**/jobs/{job}/events*"):
            visitor.sign_in(f"#/jobs/{job}")
        page.get_by_role("button", name="Cancel what is left").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel 1 item").click()
        away = visitor.alert("The service does not answer.")
        expect(away).to_be_visible()
    expect(visitor.state()).to_have_text("Completed")
    expect(away).to_be_visible()


def test_what_can_be_sent_again_is_offered_before_all_that_failed_was_looked_at(
    visit: Visit, system: System, first_key: int
) -> None:
    job = system.send([a_case(first_key, case_Status="far too long")])
    system.final(job)
    items = [{"id": [{"key": "case_Key", "value": first_key}], "status": 503, "body": "x", "index": 0}]
    found: dict[str, Any] = {"data": items, "error": None, "debug": {}}
    visitor = visit()
    page = visitor.page

    def with_many_failed(route: Route) -> None:
        response = route.fetch()
        document = response.json()
        document["data"] |= {"total": 2000, "failed": 2000}
        route.fulfill(response=response, json=document)

    page.route(f"**/jobs/{job}", with_many_failed)
    page.route(re.compile(r"/result\b.*\bpage=1\b"), lambda route: route.fulfill(status=207, json=found))
    page.route(re.compile(r"/result\b.*\bpage=2\b"), lambda route: route.abort())
    page.route(f"**/jobs/{job}/retry", lambda route: route.abort())
    visitor.sign_in(f"#/jobs/{job}")
    page.get_by_role("button", name="Send what can be sent again").click()
    question = page.get_by_role("dialog", name="Send what can be sent again?")
    expect(question).to_contain_text("At least 1 item failed for a reason outside the items")
    question.get_by_role("button", name="Send them again").click()
    expect(visitor.alert("The service does not answer.")).to_be_visible()


def test_a_question_goes_with_the_job_that_it_was_about(visit: Visit, system: System, first_key: int) -> None:
    with paused_workers(system):
        job = system.send([a_case(first_key)])
        visitor = visit()
        page = visitor.page
        visitor.sign_in()
        page.get_by_role("link", name=job[-8:]).click()
        page.get_by_role("button", name="Cancel what is left").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("heading", name="Jobs")).to_be_focused()
    assert system.final(job)["created"] == 1
