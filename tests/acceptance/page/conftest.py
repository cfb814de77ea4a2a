"""A real browser, and people who use it."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.acceptance.page.visitors import Visitor, visitor_of
from tests.acceptance.system import System
from tests.browsers import chromium
from tests.kept import KeptDirectories
from tests.needs import need

AXE = Path(__file__).parent / "axe"
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, for one file of tests: while it runs, no other event loop can."""
    with chromium() as launched:
        yield launched


@pytest.fixture
def visit(browser: Browser, system: System) -> Iterator[Visit]:
    """Makes visitors of a service; the options are those of a browser's context."""
    contexts = []

    def made(visited: System = system, name: str = "demo", **options: Any) -> Visitor:
        context = browser.new_context(**options)
        contexts.append(context)
        client = next(who for who in visited.stack["clients"] if who["name"] == name)
        return visitor_of(context, visited.stack["intake"]["url"], client)

    yield made
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def axe(kept: KeptDirectories) -> str:
    """The program of axe-core."""
    npm = need("npm", "Node.js 20 or newer")

    def make(place: Path) -> None:
        shutil.copytree(AXE, place)
        command = [npm, "ci", "--no-audit", "--no-fund", "--prefer-offline", "--silent"]
        subprocess.run(command, cwd=place, check=True, capture_output=True)

    made_of = [(AXE / name).read_text() for name in ("package.json", "package-lock.json")]
    return (kept.directory("axe", make, made_of) / "node_modules" / "axe-core" / "axe.min.js").read_text()
