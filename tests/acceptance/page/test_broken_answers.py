"""The page for jobs on a bad network: an answer that breaks off, or comes from something else, is asked for again."""

from pathlib import Path

import pytest
from playwright.sync_api import Route, expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.visitors import cases_file, lines_of
from tests.acceptance.system import System
from tests.builders import a_case
from tests.peers import Reply, answering

AWAY = "The service does not answer. The page tries again in"
ANSWERS = {
    "cut off": Reply(200, {"data": []}, is_cut_off=True),
    "of another": Reply(200, b"<p>Welcome to the network of this hotel", {"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("view", ["the list", "a job", "what failed", "a download", "a file"])
def test_an_answer_that_is_not_the_services_is_waited_for(
    visit: Visit, system: System, first_key: int, tmp_path: Path, answer: str, view: str
) -> None:
    job = system.send([a_case(first_key, case_Status="far too long")])
    system.final(job)
    visitor = visit()
    page = visitor.page
    with answering(ANSWERS[answer]) as network:

        def lead_astray(route: Route) -> None:
            route.continue_(url=network.url + "/")

        def goes_astray(pattern: str) -> None:
            page.route(pattern, lead_astray, times=1)

        match view:
            case "the list":
                goes_astray("**/jobs?*pageSize=25*")
                visitor.sign_in()
                expect(page.get_by_text(AWAY)).to_be_visible()
                expect(page.get_by_role("link", name=job[-8:])).to_be_visible()
            case "a job":
                goes_astray(f"**/jobs/{job}")
                visitor.sign_in(f"#/jobs/{job}")
                expect(page.get_by_text(AWAY)).to_be_visible()
                expect(visitor.state()).to_have_text("Completed")
            case "what failed":
                goes_astray("**/result?*")
                visitor.sign_in(f"#/jobs/{job}")
                expect(page.get_by_text("case_Status")).to_be_visible()
            case "a download":
                visitor.sign_in(f"#/jobs/{job}")
                expect(page.get_by_text("case_Status")).to_be_visible()
                goes_astray("**/result?*")
                assert lines_of(visitor.download("ndjson"))[0]["case_Key"] == first_key
            case "a file":
                visitor.sign_in()
                visitor.choose(cases_file(tmp_path, first_key))
                visitor.skip_check()
                goes_astray("**/care-cases-batch")
                visitor.send()
                expect(visitor.state()).to_have_text("Completed")
        assert len(network.received) == 1
