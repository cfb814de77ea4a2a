"""Containers for the tests: skipped where there is no engine for them, and not without saying so; in CI that fails."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.containers.deployment import Deployment, deployed
from tests.containers.engine import Engine, lacking, started
from tests.containers.images import build_all
from tests.needs import lack


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine with every image; the first time takes minutes."""
    reason = lacking()
    if reason:
        lack(reason)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with started(cache / "carecase-worker" / "containers") as engine:
        build_all(engine, tmp_path_factory.mktemp("images"))
        yield engine


@pytest.fixture(scope="module")
def deployment(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The compose file as it is, with real containers, up and healthy."""
    with deployed(engine, tmp_path_factory.mktemp("deployment")) as deployment:
        yield deployment
