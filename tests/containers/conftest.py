"""Containers for the tests: skipped where there is no engine for them, and not without saying so; in CI that fails."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.containers.deployment import Deployment, deployed
from tests.containers.engine import Engine, lacking, started
from tests.containers.images import build_all

_not_run: list[str] = []


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine with every image; the first time takes minutes."""
    reason = lacking()
    if reason:
        assert not os.environ.get("CI"), f"the containers cannot be run: {reason}"
        _not_run.append(reason)
        pytest.skip(reason)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with started(cache / "carecase-worker" / "containers") as engine:
        build_all(engine, tmp_path_factory.mktemp("images"))
        yield engine


@pytest.fixture(scope="session")
def deployment(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The compose file as it is, with real containers, up and healthy."""
    with deployed(engine, tmp_path_factory.mktemp("deployment")) as deployment:
        yield deployment


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it loudly if the image and the compose file were not tried."""
    if _not_run:
        terminalreporter.section("IMAGE AND COMPOSE FILE NOT TRIED", red=True)
        terminalreporter.line(f"tests/containers: {_not_run[0]}")
