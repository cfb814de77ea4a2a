"""One running system for all acceptance tests that do not need one of their own."""

from collections.abc import Iterator
from itertools import count

import pytest
from tests.acceptance.system import System, running


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("system")) as started:
        yield started
    assert started.process.returncode == 0, "up ends cleanly"


_next_key = count(1_000_000, 1_000_000)


@pytest.fixture
def first_key() -> int:
    """The first of a million case keys that no other test uses."""
    return next(_next_key)
