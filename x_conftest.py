"""x"""

from collections.abc import Iterator

import pytest
from tests.acceptance.lone_intake import Intake, an_intake
from tests.services import Services


@pytest.fixture(scope="module")
def intake(servers: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    """An intake under /tools/carecase."""
    with an_intake(tmp_path_factory.mktemp("prefixed"), servers, "/tools/carecase") as started:
        yield started
