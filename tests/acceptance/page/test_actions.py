"""The page for jobs: cancelling a job and sending items again, where something comes between."""

from playwright.sync_api import expect
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
