"""Fixtures: an OpenID provider, an intake that takes its tokens, and visitors of it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.acceptance.page.conftest import Visit
from tests.acceptance.page.sign_in.windows import CONFIG, PREFIX, come_anew
from tests.acceptance.page.visitors import Visitor
from tests.acceptance.system import System, intake_beside
from tests.issuer import Issuer, an_issuer, settings_of


@pytest.fixture(scope="session")
def the_issuer() -> Iterator[Issuer]:
    with an_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="session")
def beside(system: System, the_issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """An intake of the system that takes the provider's tokens, under a prefix."""
    with intake_beside(system, tmp_path_factory.mktemp("signed-in"), CONFIG + settings_of(the_issuer)) as intake:
        url = intake.stack["intake"]["url"]
        the_issuer.redirect_uris += [f"{url}{prefix}/app/signed-in.html" for prefix in ("", PREFIX)]
        yield intake


@pytest.fixture
def issuer(the_issuer: Issuer) -> Issuer:
    the_issuer.as_new()
    return the_issuer


@pytest.fixture
def come(visit: Visit, beside: System) -> Callable[..., Visitor]:
    """Makes visitors who have opened the page, and typed their API key."""

    def came(prefix: str = PREFIX, address: str = "", **options: Any) -> Visitor:
        visitor = visit(beside, **options)
        visitor = replace(visitor, url=visitor.url + prefix)
        come_anew(visitor, address)
        return visitor

    return came
