"""A running system, watched by Prometheus and Alertmanager, for the tests of a module."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest
from tests.acceptance.system import System, eventually
from tests.observing.watch import FACTOR, OF_A_BUSY_MACHINE, Watch, hurried_rules, watched_system

SCRAPED = '{__name__=~"up|carecase_store_up"}'
"""What is 0 if a scrape has failed, or has no gauges of the store."""


@dataclass(frozen=True)
class Alerts:
    """What somebody was told in a test."""

    watch: Watch
    began: float

    def once(self, *alerts: tuple[str, str], depends_on: str = SCRAPED) -> None:
        """Require that each alert, with its database, began and ended once, and no other was told.

        An alert of a gauge ends with a scrape that fails, and begins anew: it has as many more beginnings as samples of
        `depends_on` were 0, which on a machine that is not busy are none.
        """

        for alert in alerts:
            eventually(partial(self._is_over, *alert), what=f"{alert} is resolved")
            statuses, breaks = self._statuses(*alert), self.watch.breaks(time.time() - self.began, depends_on)
            assert statuses == ["firing", "resolved"] * (len(statuses) // 2), alert
            assert len(statuses) // 2 <= 1 + breaks, f"{alert} was told {len(statuses) // 2} times"
        others = {one.alert for one in self.watch.messages} - OF_A_BUSY_MACHINE
        if self.watch.breaks(time.time() - self.began, "carecase_store_up"):
            others -= {"StoreDown"}  # Redis has not answered for seconds
        assert others <= {name for name, _ in alerts}

    def _is_over(self, alert: str, database: str) -> bool:
        return self._statuses(alert, database)[-1:] == ["resolved"]

    def _statuses(self, alert: str, database: str) -> list[str]:
        messages = list(self.watch.messages)
        return [one.status for one in messages if (one.alert, one.database) == (alert, database)]


@pytest.fixture(scope="module")
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Watch]]:
    """A system and its watch; a module may name rules of which bounds or windows are shorter, and settings."""
    by_bounds, by_windows = (getattr(request.module, name, ()) for name in ("BY_BOUNDS", "BY_WINDOWS"))
    rules, variables = hurried_rules(FACTOR, by_bounds, by_windows), getattr(request.module, "VARIABLES", {})
    with watched_system(tmp_path_factory.mktemp("watched"), rules, **variables) as started:
        yield started


@pytest.fixture(scope="module")
def system(watched: tuple[System, Watch]) -> System:
    return watched[0]


@pytest.fixture(scope="module")
def watch(watched: tuple[System, Watch]) -> Watch:
    return watched[1]


@pytest.fixture
def alerts(watch: Watch) -> Iterator[Alerts]:
    """What is told in this test; before it and after it, all is well."""
    eventually(lambda: not watch.firing(), what="no alert fires")
    watch.messages.clear()
    yield Alerts(watch, time.time())
    eventually(lambda: not watch.firing(), what="no alert fires any more")
