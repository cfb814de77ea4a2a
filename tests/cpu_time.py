"""The processor time of every file of tests, with that of all processes that it starts: what a run can be shortened by.

Seconds of the processor say the same on a busy machine as on a quiet one, unlike the durations that pytest tells. When
each process had no test left says whether the files were dealt out well.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

_SHOWN = 20
_WORTH_TELLING_S = 60


class CpuTime:
    """The notes of one process of pytest; where there are several, the one that has no tests itself collects them."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._began = time.monotonic()
        self._ends: dict[str, float] = {}
        self._until = 0.0
        self._file = ""

    def pytest_collection_finish(self) -> None:
        """Note how long it took to import what is needed and every test."""
        self._note("collection")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        """Note a file once its last test has ended; what it shares with no other is stopped by then."""
        self._file = item.nodeid.partition("::")[0]
        try:
            return (yield)
        finally:
            if nextitem is None or nextitem.path != item.path:
                self._note(self._file)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """Note apart how long it takes to start what the whole session uses."""
        if fixturedef.scope != "session":
            return (yield)
        self._note(self._file)
        try:
            return (yield)
        finally:
            self._note(f"fixture {fixturedef.argname}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what was noted."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["cpu_time"] = dict(self._seconds)
            session.config.workeroutput["lasted"] = time.monotonic() - self._began

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what another process noted."""
        noted = getattr(node, "workeroutput", {})
        self._ends[node.gateway.id] = noted.get("lasted", 0)
        for name, seconds in noted.get("cpu_time", {}).items():
            self._seconds[name] += seconds

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell which files take most."""
        total = sum(self._seconds.values())
        if total < _WORTH_TELLING_S:
            return
        terminalreporter.section("processor time by file")
        for name, seconds in sorted(self._seconds.items(), key=lambda held: -held[1])[:_SHOWN]:
            terminalreporter.line(f"{seconds:7.1f} s {name}")
        ends = ", ".join(f"{name} after {seconds:.0f} s" for name, seconds in sorted(self._ends.items()))
        terminalreporter.line(f"{total:7.1f} s in all" + (f"; no test was left for {ends}" if ends else ""))

    def _note(self, name: str) -> None:
        now = _spent()
        self._seconds[name] += now - self._until
        self._until = now


def _spent() -> float:
    """The seconds of the processor that this process and all below it have used, also those that have ended."""
    this = psutil.Process()
    total = 0.0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total
