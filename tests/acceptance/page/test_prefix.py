"""The page for jobs under a path prefix, whether the proxy takes it off, leaves it on, or only names it in a header."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from tests.acceptance.page.conftest import Visit
from tests.acceptance.system import System, intake_beside
from tests.browsers import Opened
from tests.builders import a_case

CONFIG = '[intake]\nrate_per_second = 0\nroot_path = "/tools/carecase"\n'


@pytest.fixture(scope="module")
def beside(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """An intake of the system, under a prefix."""
    with intake_beside(system, tmp_path_factory.mktemp("prefixed"), CONFIG) as intake:
        yield intake


@pytest.mark.parametrize("end", ["", "/"])
def test_it_works_and_asks_for_nothing_outside_the_prefix(
    visit: Visit, beside: System, system: System, first_key: int, end: str
) -> None:
    job = system.send([a_case(first_key)])
    system.final(job)
    visitor = visit(beside)
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    api_key = visitor.page.get_by_label("API key")
    Opened(visitor.page).goto(f"{visitor.url}/tools/carecase/app{end}", api_key.is_visible)
    api_key.fill(visitor.api_key)
    visitor.page.get_by_label("Bearer token").fill(visitor.bearer)
    visitor.page.get_by_role("button", name="Sign in").click()
    visitor.page.get_by_role("link", name=job[-8:]).click()
    expect(visitor.state()).to_have_text("Completed")
    assert [url for url in asked if not url.startswith(f"{visitor.url}/tools/carecase/")] == []
