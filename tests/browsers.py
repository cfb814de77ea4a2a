"""Pages in a browser, on a machine whose networks come and go, as those of containers do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Error, Page, Request, sync_playwright
from tests.acceptance.system import eventually
from tests.needs import need

DROPPED = "net::ERR_NETWORK_CHANGED"
"""How browsers drop requests when a network comes or goes."""
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

    def goto(self, url: str, is_there: Callable[[], bool], before_again: Callable[[], object] = lambda: None) -> None:
        """Go to a page and wait until it is there; `before_again` is called when it is loaded once more."""
        self._load(lambda: self.page.goto(url), is_there, before_again)

    def reload(self, is_there: Callable[[], bool], before_again: Callable[[], object] = lambda: None) -> None:
        """Reload the page, as `goto` loads it."""
        self._load(self.page.reload, is_there, before_again)

    def _load(
        self, load: Callable[[], object], is_there: Callable[[], bool], before_again: Callable[[], object]
    ) -> None:
        def is_loaded(load: Callable[[], object]) -> bool:
            self._dropped.clear()
            try:
                load()
            except Error as fault:
                if DROPPED not in fault.message:
                    raise
                self.page.wait_for_url(_ERROR_PAGE)  # else it would interrupt the next load
                return False
            return True

        def is_there_now() -> bool:
            if self._dropped:
                before_again()
                # to go to an address with a fragment from this very address would load nothing
                return is_loaded(self.page.reload) and is_there()
            return is_there()

        eventually(lambda: is_loaded(load), what="the document of the page is loaded")
        eventually(is_there_now, what=f"{self.page.url} is there")

    def _note(self, request: Request) -> None:
        if request.failure == DROPPED:
            self._dropped.append(request.url)
