"""The page for jobs while something goes wrong: a slow network, a restart, a reload, a job that is stopped."""

import re
from pathlib import Path

from playwright.sync_api import Request, expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import cases_file
from tests.acceptance.system import System, eventually
from tests.browsers import Opened
from tests.builders import a_case
from tests.pausing import paused_workers

AN_HOUR_LATER = """() => {
    window.usual = XMLHttpRequest.prototype.getResponseHeader;
    XMLHttpRequest.prototype.getResponseHeader = function (name) {
        const told = usual.call(this, name);
        return name === "date" ? new Date(Date.parse(told) + 3_600_000).toUTCString() : told;
    };
}"""
HIDDEN = """isHidden => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
_LIST = re.compile(r"/jobs(\?|/events)")
"""The list of jobs, and the stream that keeps it fresh."""


def test_on_a_slow_network_the_progress_of_a_file_is_shown_and_it_can_be_stopped(
    visit: Visit, first_key: int, tmp_path: Path
) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    file = cases_file(tmp_path, first_key, 4000, note="x" * 200)
    slow = visitor.begin_slowly(file)
    bar = page.get_by_role("progressbar", name="Bytes sent")
    eventually(lambda: 0 < float(bar.get_attribute("value") or bar.evaluate("bar => bar.value")) < file.stat().st_size)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    slow.detach()
    visitor.send()
    expect(visitor.state()).to_have_text("Completed")
    expect(visitor.count("Created")).to_have_text("4,000")


def test_a_restart_while_a_file_is_sent_and_while_its_job_is_watched_is_shown_and_passes(
    visit: Visit, system: System, first_key: int, tmp_path: Path
) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    visitor.choose(cases_file(tmp_path, first_key, 2000))
    visitor.check()
    expect(page.get_by_text("All 2,000 items keep the rules.")).to_be_visible()
    intake = system.pid("intake")
    system.kill(intake)
    visitor.send()
    expect(page.get_by_text("The service does not answer. The page tries again in").first).to_be_visible()
    expect(visitor.state()).to_have_text("Completed")
    expect(visitor.count("Created")).to_have_text("2,000")

    page.get_by_role("link", name="All jobs").click()
    expect(page.get_by_role("link", name="Job").first).to_be_visible()
    again = system.pid("intake")
    assert again != intake
    page.route(_LIST, lambda route: route.abort())  # as long as nobody listens
    system.kill(again)
    expect(page.get_by_text("The service does not answer.")).to_be_visible()
    page.unroute(_LIST)
    expect(page.get_by_text("The service does not answer.")).to_be_hidden()


def test_a_reload_while_a_file_is_sent_does_not_double_it(
    visit: Visit, system: System, first_key: int, tmp_path: Path
) -> None:
    visitor = visit()
    page = visitor.page
    file = cases_file(tmp_path, first_key, 10)
    ids = []
    for _ in range(2):
        visitor.sign_in()
        visitor.choose(file)
        visitor.check()
        visitor.send()
        expect(visitor.state()).to_have_text("Completed")
        ids.append(visitor.job_id())
        visitor.reload()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert ids[0] == ids[1]
    accepted = [job for job in jobs_of(system) if job["jobId"] == ids[0]]
    assert len(accepted) == 1


def test_a_page_of_which_a_part_did_not_arrive_says_so_and_is_loaded_again_by_itself(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    for part in ("settings.json", "views/job.js"):
        page.route(f"**/app/{part}", lambda route: route.abort())
        opened = Opened(page)
        alert = visitor.alert("A part of this page could not be loaded.")
        opened.goto(f"{visitor.url}/app#/jobs?state=failed", alert.is_visible)
        page.unroute(f"**/app/{part}")
        opened.wait_for(page.get_by_label("API key").is_visible)
        assert page.url.endswith("/app#/jobs?state=failed"), "it is still the view that was asked for"
        page.goto("about:blank")


def test_a_page_that_never_starts_says_after_a_while_to_reload_it(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.route("**/app/start.js", lambda route: route.abort())
    notice = page.get_by_text("The page is still loading. If it stays so, reload it.")
    Opened(page).goto(f"{visitor.url}/app", notice.is_visible)


def test_a_sign_in_that_gets_no_answer_is_tried_again_and_can_be_corrected_meanwhile(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.route(_LIST, lambda route: route.abort())
    visitor.open()
    page.get_by_label("API key").fill("wrong")
    page.get_by_label("Bearer token").fill(visitor.bearer)
    button = page.get_by_role("button", name="Sign in")
    button.click()
    notice = page.get_by_text("The service does not answer. The page tries again in")
    expect(notice).to_be_visible()
    page.unroute(_LIST)
    expect(page.get_by_role("alert")).to_contain_text("API key")
    page.route(_LIST, lambda route: route.fulfill(status=503, headers={"Retry-After": "7"}))
    button.click()
    expect(page.get_by_text("The page tries again in 7 seconds.")).to_be_visible()
    page.unroute(_LIST)
    page.route(_LIST, lambda route: route.abort())
    button.click()
    expect(notice).to_be_visible()
    page.get_by_label("API key").fill(visitor.api_key)
    page.unroute(_LIST)
    button.click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_file_that_had_been_accepted_before_is_noticed_and_can_be_sent_once_more(
    visit: Visit, first_key: int, tmp_path: Path
) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    file = cases_file(tmp_path, first_key, 3)

    page.evaluate(AN_HOUR_LATER)
    visitor.choose(file)
    visitor.check()
    visitor.send()
    expect(
        page.get_by_text("cases.json had been accepted before, as this job, so nothing was sent twice.")
    ).to_be_visible()
    page.evaluate("() => { XMLHttpRequest.prototype.getResponseHeader = usual; }")
    first = visitor.job_id()
    page.get_by_role("link", name="send it as a new batch").click()
    visitor.check()
    visitor.send()
    expect(visitor.count("Updated")).to_have_text("3")
    second = visitor.job_id()
    assert second != first
    # to other rules it is another batch without being asked for
    visitor.choose_target()
    page.get_by_label("All items or none").check()
    page.locator("#file").set_input_files(file)
    visitor.check()
    visitor.send()
    expect(visitor.count("Updated")).to_have_text("3")
    assert visitor.job_id() not in (first, second)
    visitor.choose_once_more(visitor.job_id())
    expect(page.get_by_label("All items or none")).to_be_checked()


def test_while_nobody_looks_at_it_the_page_asks_for_nothing(visit: Visit, system: System, first_key: int) -> None:
    visitor = visit()
    page, asked = visitor.page, list[str]()
    page.clock.install()
    visitor.sign_in()
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/jobs/events")):
        page.evaluate(HIDDEN, True)
    page.on("request", lambda request: asked.append(request.url))
    job = system.send([a_case(first_key)])
    page.clock.run_for(60_000)
    assert asked == []
    page.evaluate(HIDDEN, False)
    expect(page.get_by_role("link", name=job[-8:])).to_be_visible()


def jobs_of(system: System) -> list[dict[str, object]]:
    with system.client() as client:
        return list(client.get("/jobs", params={"pageSize": 1000}).json()["data"])


def test_a_job_is_cancelled_and_its_items_are_sent_again_each_after_the_count_was_shown(
    visit: Visit, system: System, first_key: int
) -> None:
    with paused_workers(system):
        job = system.send([a_case(first_key), a_case(first_key + 1)])
        visitor = visit()
        page = visitor.page
        visitor.sign_in(f"#/jobs/{job}")
        asked = list[str]()
        page.on("request", lambda request: asked.append(request.method))
        cancel = page.get_by_role("button", name="Cancel what is left")
        question = page.get_by_role("dialog", name="Cancel 2 items?")
        for unchanging in ("Enter", "Escape"):  # the focus is on the answer that changes nothing
            cancel.click()
            expect(question).to_contain_text("2 items of this job have not been applied and will be cancelled.")
            page.keyboard.press(unchanging)
            expect(question).to_be_hidden()
        cancel.click()
        question.get_by_role("button", name="Cancel 2 items").click()
        expect(visitor.state()).to_have_text("Cancelling")
        assert asked.count("DELETE") == 1
    expect(visitor.state()).to_have_text("Cancelled")
    page.get_by_role("button", name="Send 2 again").click()
    page.get_by_role("dialog", name="Send 2 items again?").get_by_role("button", name="Send 2 items again").click()
    expect(visitor.state()).to_have_text("Completed")
    expect(visitor.count("Created")).to_have_text("2")
    assert visitor.job_id() != job


def test_a_token_that_ends_leads_back_to_the_sign_in_and_from_there_to_the_same_view(
    visit: Visit, system: System, first_key: int
) -> None:
    job = system.send([a_case(first_key)])
    visitor = visit()
    visitor.sign_in(f"#/jobs/{job}")
    expect(visitor.state()).to_have_text("Completed")
    body = {"data": None, "error": {"detail": "The bearer token has expired. Get a new one."}, "debug": {}}
    visitor.page.route("**/jobs?*", lambda route: route.fulfill(status=401, json=body))
    visitor.page.get_by_role("link", name="All jobs").click()
    expect(visitor.alert("The bearer token has expired. Get a new one.")).to_be_visible()
    visitor.page.unroute("**/jobs?*")
    visitor.page.get_by_label("API key").fill(visitor.api_key)
    visitor.page.get_by_label("Bearer token").fill(visitor.bearer)
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(visitor.page.get_by_role("heading", name="Jobs")).to_be_focused()


def test_another_file_that_is_chosen_where_one_is_sent_once_more_is_still_accepted_once(
    visit: Visit, first_key: int, tmp_path: Path
) -> None:
    visitor, keys = visit(), list[str]()
    page = visitor.page

    def note(request: Request) -> None:
        if request.method == "PUT" and "validateOnly" not in request.url:
            keys.append(request.headers["idempotency-key"])

    page.on("request", note)
    visitor.sign_in()
    visitor.choose(cases_file(tmp_path, first_key))
    visitor.check()
    visitor.send()
    expect(visitor.state()).to_have_text("Completed")
    visitor.choose_once_more(visitor.job_id())
    page.locator("#file").set_input_files(cases_file(tmp_path, first_key + 1, name="other.json"))
    visitor.check()
    visitor.send()
    expect(page.get_by_role("heading", name="other.json")).to_be_visible()
    assert re.fullmatch("page-[0-9a-f]{64}", keys[-1]), "the key is that of the file"


def test_whoever_signs_out_while_a_file_is_sent_stops_it(visit: Visit, first_key: int, tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.page
    visitor.sign_in()
    visitor.begin_slowly(cases_file(tmp_path, first_key, 4000, note="x" * 200))
    with page.expect_event("requestfailed", lambda request: request.method == "PUT"):
        page.get_by_role("button", name="Sign out").click()
