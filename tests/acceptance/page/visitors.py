"""People who use the page for jobs, in a real browser."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, CDPSession, Locator, Page, expect
from tests.browsers import Console, Opened, reload_when_dropped
from tests.builders import a_case

expect.set_options(timeout=60_000)

_SLOW = {"offline": False, "latency": 300, "downloadThroughput": 50_000, "uploadThroughput": 30_000}
_AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass(frozen=True)
class Visitor:
    """Somebody with a browser, and credentials of a client."""

    page: Page
    url: str
    api_key: str
    bearer: str
    console: Console

    def open(self, address: str = "") -> None:
        """Open the page; once more if a network has come or gone."""
        Opened(self.page).goto(f"{self.url}/app{address}", self._has_heading)

    def reload(self) -> None:
        """Reload the page; once more if a network has come or gone."""
        Opened(self.page).reload(self._has_heading)

    def _has_heading(self) -> bool:
        return self.page.get_by_role("heading").first.is_visible()

    def sign_in(self, address: str = "") -> None:
        """Open the page, and sign in with key and token."""
        self.open(address)
        self.page.get_by_label("API key").fill(self.api_key)
        self.page.get_by_label("Bearer token").fill(self.bearer)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def choose(self, file: Path, database: str = "demo", care_plan: str = "") -> None:
        """Go to the view that sends, and choose a target and a file."""
        self.choose_target(database, care_plan)
        self.page.locator("#file").set_input_files(file)

    def choose_by_hand(self, opener: Locator, file: Path) -> None:
        """Choose a file in the browser's own dialog; it may keep it from the page, which Playwright always tells."""
        with self.page.expect_file_chooser():
            opener.click()
        field = opener.evaluate_handle("opener => opener.control ?? opener")
        field.evaluate("field => { window.chosenBy = field; }")
        devtools = self.devtools()
        found = devtools.send("Runtime.evaluate", {"expression": "chosenBy"})["result"]["objectId"]
        devtools.send("DOM.setFileInputFiles", {"objectId": found, "files": [str(file)]})

    def choose_target(self, database: str = "demo", care_plan: str = "") -> None:
        """Go to the view that sends; the one before has a field of the same name, so it is awaited."""
        self.page.get_by_role("navigation", name="Main").get_by_role("link", name="Send a file").click()
        expect(self.page.get_by_role("heading", name="Send a file")).to_be_visible()
        self.page.get_by_label("Database").fill(database)
        self.page.get_by_label("Care plan (optional)").fill(care_plan)

    def choose_once_more(self, job: str) -> None:
        """Go to the view that sends the file of a job as a new batch."""
        self.page.evaluate("job => { location.hash = `#/send?again=${job}`; }", job)

    def begin_slowly(self, file: Path) -> CDPSession:
        """Send a file of 1.1 MiB over a slow network, as far as it has begun; without what is returned it is fast."""
        devtools = self.devtools()
        devtools.send("Network.emulateNetworkConditions", _SLOW)
        self.choose(file)
        self.skip_check()
        self.send()
        expect(self.page.get_by_text("KiB of 1.1 MiB")).to_be_visible()
        return devtools

    def skip_check(self) -> None:
        self.page.get_by_role("button", name="Go on without a check").click()

    def check(self) -> None:
        self.page.get_by_role("button", name="Check the file").click()

    def send(self) -> None:
        self.page.get_by_role("button", name="Send").click()

    def try_it(self) -> None:
        self.page.get_by_role("button", name="Try against the database").click()

    def state(self) -> Locator:
        """The state of the job that is shown."""
        return self.page.locator(".heading .state")

    def alert(self, words: str) -> Locator:
        """The alert that has these words."""
        return self.page.get_by_role("alert").filter(has_text=words)

    def count(self, name: str) -> Locator:
        """The number under one of the names of counts."""
        return self.page.locator(".counts .count", has=self.page.get_by_text(name, exact=True)).locator("dd")

    def job_id(self) -> str:
        """The job of the address."""
        return self.page.url.rpartition("/")[2]

    def download(self, form: str) -> str:
        """The text of the file of failed items."""
        self.page.get_by_label("Download as").select_option(form)
        with self.page.expect_download() as begun:
            self.page.get_by_role("button", name="Download").click()
        return Path(begun.value.path()).read_text()

    def violations(self, axe: str) -> list[str]:
        """What axe-core finds wrong with what is shown, by rule and element."""
        self.page.evaluate(axe)
        found: dict[str, Any] = self.page.evaluate("tags => axe.run(document, { runOnly: tags })", _AXE_TAGS)
        return [f"{rule['id']}: {node['html']}" for rule in found["violations"] for node in rule["nodes"]]

    def is_wider_than_the_screen(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def devtools(self) -> CDPSession:
        return self.page.context.new_cdp_session(self.page)


def visitor_of(context: BrowserContext, url: str, client: dict[str, Any]) -> Visitor:
    """Make a visitor with the credentials of a client of the demo."""
    page = context.new_page()
    page.on("popup", reload_when_dropped)
    return Visitor(page, url, client["api_key"], client["bearer"], Console(page))


def cases_file(place: Path, first_key: int, count: int = 1, name: str = "cases.json", **fields: object) -> Path:
    """A file of cases that all have these fields."""
    file = place / name
    file.write_text(json.dumps([a_case(first_key + number, **fields) for number in range(count)]))
    return file


def lines_of(text: str) -> list[dict[str, Any]]:
    """The objects of NDJSON."""
    return [json.loads(line) for line in text.splitlines()]
