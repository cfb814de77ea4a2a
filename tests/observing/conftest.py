"""A running system, watched by Prometheus and Alertmanager, for the tests of a module."""

from collections.abc import Iterator

import pytest
from tests.acceptance.system import System, eventually
from tests.observing.watch import Message, Watch, watched_system


@pytest.fixture(scope="module")
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Watch]]:
    """A system and its watch; a module may name rules of which bounds and windows are shorter, and settings."""
    by_bounds, variables = (getattr(request.module, name, {}) for name in ("BY_BOUNDS", "VARIABLES"))
    with watched_system(tmp_path_factory.mktemp("watched"), by_bounds, **variables) as started:
        yield started


@pytest.fixture(scope="module")
def system(watched: tuple[System, Watch]) -> System:
    return watched[0]


@pytest.fixture(scope="module")
def watch(watched: tuple[System, Watch]) -> Watch:
    return watched[1]


@pytest.fixture
def told(watch: Watch) -> Iterator[list[Message]]:
    """The messages of this test; before it and after it, all is well."""
    eventually(lambda: not watch.firing(), what="no alert fires")
    watch.messages.clear()
    yield watch.messages
    eventually(lambda: not watch.firing(), what="no alert fires any more")
