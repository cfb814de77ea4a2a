"""Pictures of the page for jobs, for the documentation: `python -m tests.acceptance.page.pictures`."""

import json
import signal
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect
from tests.acceptance.page.visitors import Visitor, visitor_of
from tests.acceptance.system import NO_RATE, System, intake_beside, running
from tests.browsers import chromium
from tests.builders import a_case
from tests.issuer import an_issuer, settings_of

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


def draw_sign_in(browser: Browser, system: System, place: Path) -> None:
    """Draw the sign-in with a provider, whose window is open."""
    with an_issuer() as issuer, intake_beside(system, place, NO_RATE + settings_of(issuer)) as intake:
        client, url = system.stack["clients"][0], intake.stack["intake"]["url"]
        issuer.redirect_uris.append(f"{url}/app/signed-in.html")
        context = browser.new_context(viewport={"width": 1000, "height": 620}, reduced_motion="reduce")
        visitor = visitor_of(context, url, client)
        visitor.open()
        visitor.page.get_by_label("API key").fill(visitor.api_key)
        with visitor.page.expect_popup():
            visitor.page.get_by_role("button", name="Sign in with").click()
        expect(visitor.page.get_by_text("Go on in the window that has opened.")).to_be_visible()
        name_the_provider(visitor.page, issuer.url.removeprefix("http://"))
        visitor.page.screenshot(path=PICTURES / "page-sign-in.png")


def name_the_provider(page: Page, host: str) -> None:
    """Write a provider's usual host in place of that of the tests' own, which has another port each time."""
    button = page.locator(".primary")
    named = str(button.text_content()).replace(host, "login.example.org")
    button.evaluate("(button, text) => { button.textContent = text; }", named)


def draw_check_and_try(visitor: Visitor, file: Path) -> None:
    """Draw a file that was checked, then tried."""
    page = visitor.page
    visitor.choose(file)
    visitor.check()
    visitor.try_it()
    expect(page.get_by_text("Nothing was applied.")).to_be_visible()
    page.screenshot(path=PICTURES / "page-try.png", full_page=True)


def main() -> None:
    """Draw them anew."""
    with tempfile.TemporaryDirectory() as place, running(Path(place)) as system, chromium() as browser:
        send_some(system)
        client, url = system.stack["clients"][0], system.stack["intake"]["url"]
        visitor = visitor_of(browser.new_context(viewport=SIZE, reduced_motion="reduce"), url, client)
        page = visitor.page
        visitor.sign_in()
        file = cases_file(Path(place))
        changed = [case | {"case_Status": "CLOSED"} for case in json.loads(file.read_text())[1000:1400]]
        system.final(system.send([*changed, *json.loads(file.read_text())[1400:1500]]))
        draw_check_and_try(visitor, file)
        visitor.send()
        expect(page.get_by_role("table", name="Failed items by field and rule")).to_be_visible()
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
        draw_sign_in(browser, system, Path(place) / "beside")


if __name__ == "__main__":
    main()
