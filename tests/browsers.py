"""Pages in a browser, on a machine whose networks come and go, as those of containers do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright
from tests.acceptance.system import eventually
from tests.needs import need

DROPPED = "net::ERR_NETWORK_CHANGED"
"""How browsers drop requests when a network comes or goes."""
_NOT_FETCHED = "Failed to fetch"
"""What the console says beside that when a part of a page was dropped; it does not name the part."""
_ERROR_PAGE = "chrome-error://chromewebdata/"
"""What Chromium shows in place of a document that was dropped."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium without windows (its headless shell): a page takes a quarter of the processor time.

    While it runs, no other event loop can.
    """
    program = need("chromium-headless-shell", "Debian's chromium-headless-shell")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


class Opened:
    """A page that is loaded again if a request was dropped for a network, and for no other reason."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._dropped: list[str] = []
        page.on("requestfailed", self._note)

    def goto(self, url: str, is_there: Callable[[], bool]) -> None:
        """Go to a page and wait until it is there."""
        self._load(lambda: self.page.goto(url), is_there)

    def reload(self, is_there: Callable[[], bool]) -> None:
        """Reload the page, as `goto` loads it."""
        self._load(self.page.reload, is_there)

    def wait_for(self, is_there: Callable[[], bool]) -> None:
        """Wait until a page is there that another has led to, or that has loaded itself."""
        eventually(lambda: self._is_whole() and is_there(), what=f"{self.page.url} is there")

    def _load(self, load: Callable[[], object], is_there: Callable[[], bool]) -> None:
        eventually(lambda: self._is_loaded(load), what="the document of the page is loaded")
        self.wait_for(is_there)

    def _is_loaded(self, load: Callable[[], object]) -> bool:
        self._dropped.clear()
        try:
            load()
        except Error as fault:
            if DROPPED not in fault.message:
                raise
            _wait_for_error_page(self.page)
            return False
        return True

    def _is_whole(self) -> bool:
        if not self._dropped:
            return True
        if "document" in self._dropped:
            _wait_for_error_page(self.page)
        # to go to an address with a fragment from this very address would load nothing
        return self._is_loaded(self.page.reload)

    def _note(self, request: Request) -> None:
        if request.failure == DROPPED:
            self._dropped.append(request.resource_type)


class Console:
    """The console of a page: a refused script or style, for instance, is an error of it."""

    def __init__(self, page: Page) -> None:
        self._texts: list[str] = []
        self._has_dropped = False
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._texts.append(str(error)))
        page.on("requestfailed", self._note_failed)

    def texts(self) -> list[str]:
        """Its errors and warnings, without those of requests that were dropped for a network: pages ask again."""
        known = [DROPPED, _NOT_FETCHED] if self._has_dropped else [DROPPED]
        return [text for text in self._texts if not any(words in text for words in known)]

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._texts.append(message.text)

    def _note_failed(self, request: Request) -> None:
        self._has_dropped |= request.failure == DROPPED


def reload_when_dropped(window: Page) -> None:
    """Load a window that a page opens once more if its document or a script was dropped for a network."""

    def note(request: Request) -> None:
        if request.failure != DROPPED or request.resource_type not in ("document", "script"):
            return
        with suppress(Error):  # the window is closed
            if request.resource_type == "document":
                _wait_for_error_page(window)
            window.reload()

    window.on("requestfailed", note)


def _wait_for_error_page(page: Page) -> None:
    page.wait_for_url(_ERROR_PAGE)  # else it would interrupt the next load
