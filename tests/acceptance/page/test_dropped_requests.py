"""A network comes or goes while a page loads: it is loaded again, however its address ends, and for no other reason."""

import pytest
from playwright.sync_api import Browser, Error, Route, expect
from tests.browsers import Console, Opened, reload_when_dropped

URL = "http://page.test/app"
DOCUMENT = "<!doctype html><script src=/page.js></script>"
SCRIPT = "addEventListener('load', () => document.body.append(location.hash || 'without a fragment'))"


class Network:
    """Serves the page, and drops the requests whose numbers it is told."""

    def __init__(self, dropped: set[int], reason: str) -> None:
        self.dropped, self.reason = dropped, reason
        self.asked: list[str] = []

    def __call__(self, route: Route) -> None:
        self.asked.append(route.request.url.rpartition("/")[2])
        if len(self.asked) in self.dropped:
            route.abort(self.reason)
        elif self.asked[-1] == "page.js":
            route.fulfill(body=SCRIPT, content_type="text/javascript")
        else:
            route.fulfill(body=DOCUMENT, content_type="text/html")


@pytest.fixture(autouse=True)
def stands_for_a_changed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chromium's drivers have no way to drop a request for a changed network."""
    monkeypatch.setattr("tests.browsers.DROPPED", "net::ERR_INTERNET_DISCONNECTED")


@pytest.mark.parametrize(("fragment", "text"), [("", "without a fragment"), ("#/jobs/1", "#/jobs/1")])
@pytest.mark.parametrize(
    ("dropped", "asked"),
    [
        (set(), ["app", "page.js"]),
        ({1}, ["app", "app", "page.js"]),
        ({2}, ["app", "page.js", "app", "page.js"]),
        ({2, 4}, ["app", "page.js", "app", "page.js", "app", "page.js"]),
        ({2, 3}, ["app", "page.js", "app", "app", "page.js"]),
    ],
    ids=["nothing", "the document", "a script", "a script twice", "a script and then the document"],
)
def test_a_page_is_loaded_until_nothing_of_it_was_dropped(
    browser: Browser, fragment: str, text: str, dropped: set[int], asked: list[str]
) -> None:
    network = Network(dropped, "internetdisconnected")
    with browser.new_page() as page:
        page.route("http://page.test/**", network)
        Opened(page).goto(URL + fragment, page.get_by_text(text).is_visible)
        assert network.asked == asked


@pytest.mark.parametrize("dropped", [{3}, {4}, {3, 5}], ids=["the document", "a script", "the document, then a script"])
def test_a_page_that_loads_itself_is_loaded_again_too(browser: Browser, dropped: set[int]) -> None:
    network = Network(dropped, "internetdisconnected")
    with browser.new_page() as page:
        page.route("http://page.test/**", network)
        opened = Opened(page)
        there, before = page.get_by_text("without a fragment"), page.get_by_text("before")
        opened.goto(URL, there.is_visible)
        page.evaluate("document.body.append('before'); setTimeout(() => location.reload())")
        opened.wait_for(lambda: there.is_visible() and before.count() == 0)


def test_a_request_that_failed_otherwise_is_not_made_again(browser: Browser) -> None:
    network = Network({1}, "connectionreset")
    with browser.new_page() as page:
        page.route("http://page.test/**", network)
        with pytest.raises(Error, match="ERR_CONNECTION_RESET"):
            Opened(page).goto(URL, lambda: False)
        assert network.asked == ["app"]


@pytest.mark.parametrize("dropped", [{1}, {2}, {1, 3}], ids=["the document", "a script", "the document, then a script"])
def test_a_window_that_a_page_opens_is_loaded_again_too(browser: Browser, dropped: set[int]) -> None:
    network = Network(dropped, "internetdisconnected")
    with browser.new_page() as page:
        page.context.route("http://page.test/**", network)
        page.on("popup", reload_when_dropped)
        with page.expect_popup() as opened:
            page.evaluate("url => { const opened = open(''); setTimeout(() => opened.location.replace(url)); }", URL)
        expect(opened.value.get_by_text("without a fragment")).to_be_visible()


@pytest.mark.parametrize(("reason", "said"), [("internetdisconnected", 0), ("connectionreset", 2)])
def test_the_console_says_nothing_of_parts_that_were_dropped(browser: Browser, reason: str, said: int) -> None:
    network = Network({3}, reason)
    with browser.new_page() as page:
        console = Console(page)
        page.route("http://page.test/**", network)
        page.goto(URL)
        with page.expect_event("pageerror"):
            page.evaluate("() => { import('/part.js'); }")
        assert len(console.texts()) == said, console.texts()
