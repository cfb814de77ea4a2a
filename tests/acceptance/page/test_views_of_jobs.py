"""The page for jobs: pages of the list are turned one by one, and a job is shown as it is, without its outcomes."""

import re
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Route, expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.system import System
from tests.builders import a_case
from tests.pausing import paused_workers


def test_pages_of_the_list_are_turned_one_by_one(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    total = '{"TotalCount": 60, "PageSize": 25, "CurrentPage": 1, "TotalPages": 3}'
    answer: dict[str, Any] = {"data": [], "error": None, "debug": {}}
    page.route("**/jobs?*", lambda route: route.fulfill(json=answer, headers={"x-pagination": total}))
    visitor.open("#/jobs?state=failed")
    for name, number in (("Older", 2), ("Older", 3), ("Newer", 2), ("Newer", 1)):
        with page.expect_request(re.compile(rf"/jobs\?.*\bpage={number}\b")):
            page.get_by_role("link", name=name).click()
        expect(page.get_by_text(f"Page {number} of 3")).to_be_visible()
    expect(page.get_by_role("link", name="Newer")).to_have_count(0)


def test_the_moments_of_a_job_are_shown_each_as_what_it_is(visit: Visit, system: System, first_key: int) -> None:
    job = system.final(system.send([a_case(first_key)]))
    visitor = visit()
    visitor.sign_in(f"#/jobs/{job['jobId']}")
    expect(visitor.state()).to_have_text("Completed")
    for name, member in (
        ("Accepted", "submittedAt"),
        ("Started", "startedAt"),
        ("Finished", "finishedAt"),
        ("Result is kept until", "expiresAt"),
    ):
        row = visitor.page.locator(".details div", has=visitor.page.get_by_text(name, exact=True))
        expect(row.locator("time")).to_have_attribute("datetime", job[member])


def test_a_job_is_watched_without_its_outcomes(visit: Visit, system: System, first_key: int) -> None:
    """They hold what was sent, and each reading of them is recorded."""
    visitor, asked = visit(), list[str]()
    with paused_workers(system):
        job = system.send([a_case(first_key)])
        visitor.page.on("request", lambda request: asked.append(request.url))
        with visitor.page.expect_request(f"**/jobs/{job}/events*"):
            visitor.sign_in(f"#/jobs/{job}")
    expect(visitor.state()).to_have_text("Completed")
    watching = [url for url in asked if f"/jobs/{job}/events" in url]
    assert watching
    assert [url for url in watching if "outcomes=false" not in url] == []


def test_a_job_that_ends_while_the_list_is_read_is_shown_as_ended(visit: Visit, system: System, first_key: int) -> None:
    visitor = visit()
    with ExitStack() as paused:
        paused.enter_context(paused_workers(system))
        job = system.send([a_case(first_key)])

        def come_late(route: Route) -> None:
            read = route.fetch()
            paused.close()
            system.final(job)
            route.fulfill(response=read)

        visitor.page.route("**/jobs?*pageSize=25*", come_late, times=1)
        visitor.sign_in()
        line = visitor.page.get_by_role("listitem").filter(has_text=job[-8:])
        expect(line).to_contain_text("Completed")


def test_a_stream_of_events_that_has_gone_silent_is_connected_anew(visit: Visit) -> None:
    """The service's heartbeats come by its own clock, so nothing comes while that of the page runs ahead."""
    visitor = visit()
    page = visitor.page
    page.clock.install()
    with page.expect_response("**/jobs/events"):
        visitor.sign_in()
    expect(page.locator(".summary")).to_contain_text("job")
    with page.expect_response("**/jobs/events"):
        page.clock.run_for(45_001)


def test_a_filter_keeps_the_focus_while_it_is_changed_by_keyboard(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    state = page.get_by_label("State")
    state.focus()
    for name in ("queued", "running", "waiting"):
        page.keyboard.press("ArrowDown")
        expect(page).to_have_url(re.compile(f"state={name}$"))
        expect(state).to_be_focused()
        expect(state).to_have_value(name)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"superseded": 5}, "Of 5 items, 5 superseded by a batch that was accepted later."),
        ({"created": 1, "updated": 1, "superseded": 2, "failed": 1}, "Of 5 items, 2 applied, 2 superseded by a batch"),
        ({"created": 2, "updated": 3}, "All 5 items are applied."),
    ],
)
def test_items_that_were_superseded_are_not_called_applied(
    visit: Visit, system: System, first_key: int, counts: dict[str, int], words: str
) -> None:
    job = system.final(system.send([a_case(first_key)]))
    document = {"data": job | {"total": 5, "created": 0} | counts, "error": None, "debug": {}}
    visitor = visit()
    visitor.page.route(f"**/jobs/{job['jobId']}", lambda route: route.fulfill(json=document))
    visitor.sign_in(f"#/jobs/{job['jobId']}")
    expect(visitor.page.locator(".progress .lead")).to_contain_text(words)


LISTENING = """
    window.listening = 0;
    const listen = document.addEventListener.bind(document);
    document.addEventListener = (type, listener, options) => {
        if (type === "visibilitychange") {
            listening += 1;
            options.signal.addEventListener("abort", () => { listening -= 1; });
        }
        listen(type, listener, options);
    };
"""
"""Counts what waits for the page to be looked at, or not."""


def test_a_list_that_is_open_for_long_keeps_nothing_of_the_streams_that_have_ended(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.add_init_script(LISTENING)
    page.route("**/jobs/events", lambda route: route.fulfill(content_type="text/event-stream", body=""))
    visitor.sign_in()
    for _ in range(4):
        with page.expect_request("**/jobs/events"):
            pass
    assert page.evaluate("listening") <= 1
