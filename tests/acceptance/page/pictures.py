"""Pictures of the page for jobs, for the documentation: `python -m tests.acceptance.page.pictures`."""

import json
import signal
import tempfile
from pathlib import Path

from playwright.sync_api import ViewportSize, expect, sync_playwright
from tests.acceptance.page.visitors import visitor_of
from tests.acceptance.system import System, running
from tests.builders import a_case
from tests.needs import need

PICTURES = Path(__file__).parents[3] / "docs" / "pictures"
SIZE: ViewportSize = {"width": 1000, "height": 760}


def cases_file(place: Path) -> Path:
    """A file of 3,000 cases, 50 of them with faults."""
    cases = [a_case(number, case_Status="OPEN") for number in range(3000)]
    for case in cases[3::100]:
        case["case_Status"] = "far too long"
    for case in cases[7::250]:
        del case["carePlan_Key"]
    for case in cases[9::333]:
        case["do_Not_Contact"] = "no"
    file = place / "november.json"
    file.write_text(json.dumps(cases))
    return file


def send_some(system: System) -> None:
    """Send jobs of several kinds; the last one is left to run."""
    for first, count in ((100_000, 4_000), (110_000, 800), (120_000, 12_500)):
        system.final(system.send([a_case(first + number) for number in range(count)]))
    broken = [
        a_case(130_000 + number, case_Status="far too long" if number % 9 == 0 else "OPEN") for number in range(2_400)
    ]
    system.final(system.send(broken, database="demo_sqlite"))


def main() -> None:
    """Draw them anew."""
    with tempfile.TemporaryDirectory() as place, running(Path(place)) as system, sync_playwright() as playwright:
        send_some(system)
        browser = playwright.chromium.launch(
            executable_path=need("chromium", "Debian's chromium"), args=["--no-sandbox"]
        )
        client, url = system.stack["clients"][0], system.stack["intake"]["url"]
        visitor = visitor_of(browser.new_context(viewport=SIZE, reduced_motion="reduce"), url, client)
        page = visitor.page
        visitor.sign_in()
        visitor.choose(cases_file(Path(place)))
        visitor.check()
        expect(page.get_by_role("table")).to_be_visible()
        page.screenshot(path=PICTURES / "page-check.png", full_page=True)
        visitor.send()
        expect(page.get_by_role("table")).to_be_visible()
        expect(page.get_by_text("50 failed items.")).to_be_visible()
        page.screenshot(path=PICTURES / "page-job.png", full_page=True)
        dark = visitor_of(browser.new_context(viewport=SIZE, color_scheme="dark", reduced_motion="reduce"), url, client)
        dark.sign_in()
        pids = system.pool()
        system.send([a_case(200_000 + number) for number in range(60_000)])
        dark.page.locator(".job-line .state.running").wait_for()
        dark.page.wait_for_function("document.querySelector('.job-line .bar').ariaValueNow > 0")
        for pid in pids:
            system.kill(pid, signal.SIGSTOP)
        dark.page.screenshot(path=PICTURES / "page-jobs.png")
        for pid in pids:
            system.kill(pid, signal.SIGCONT)
        browser.close()


if __name__ == "__main__":
    main()
