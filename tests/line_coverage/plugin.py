"""The part of a coverage run that is in pytest: notes of every line which test reached it.

A test is written as `file::function`. What serves several tests (the import of a module, a server for a whole file) is
written as the file alone, and what serves several files (a running system) as `@fixture:process`; the notes say which
files had that.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest
from tests.line_coverage.lua import Statement, reached

_BY_FILES, _BY_TESTS = ("session", "package"), ("module", "class")
"""Scopes of fixtures that several files share, and several tests of a file."""
_VARIABLE = "REACHED_BY"


class Reached:
    """The notes of one process of pytest."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._read: dict[Path, int] = {}
        self._statements: defaultdict[Statement, set[str]] = defaultdict(set)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._failed: set[str] = set()
        self._users: defaultdict[str, set[str]] = defaultdict(set)
        self._shared: set[str] = set()
        self._logs: Path | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Function) -> Iterator[None]:
        """Note a test, and the processes that it starts."""
        _attribute(_name(item))
        for fixture in item.fixturenames:
            self._users[fixture].add(_file(_name(item)))
        try:
            return (yield)
        finally:
            self._read_logs(_name(item))
            _attribute("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        """Note what a fixture does and starts that others use, too."""
        before = os.environ.get(_VARIABLE, "")
        if fixturedef.scope in _BY_FILES:
            self._shared.add(fixturedef.argname)
            _attribute(_shared_name(fixturedef.argname))
        elif fixturedef.scope in _BY_TESTS:
            _attribute(_file(before))
        try:
            return (yield)
        finally:
            _attribute(before)

    @pytest.fixture(autouse=True)
    def _place_of_the_logs(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self._logs = tmp_path_factory.getbasetemp()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long a test took."""
        if not hasattr(report, "node"):  # what another process of pytest ran is noted there
            name = report.nodeid.partition("[")[0]
            self._seconds[name] += report.duration
            if report.failed:
                self._failed.add(name)

    def pytest_unconfigure(self) -> None:
        """Write what was noted; servers for the whole run have ended by now."""
        self._read_logs("")
        found = {f"{s.script}:{s.line}:{s.column}": sorted(tests) for s, tests in self._statements.items()}
        shared = {_shared_name(fixture): sorted(self._users[fixture]) for fixture in self._shared}
        notes = {"statements": found, "seconds": self._seconds, "failed": sorted(self._failed), "shared": shared}
        (self._place / f"{os.getpid()}.json").write_text(json.dumps(notes))
        if measured := coverage.Coverage.current():
            measured.save()

    def _read_logs(self, test: str) -> None:
        """Attribute what the logs of Redis have more than before."""
        for log in _logs(self._logs) if self._logs else ():
            try:
                with log.open("rb") as file:
                    file.seek(self._read.get(log, 0))
                    text = file.read()
            except OSError:
                continue  # it is gone, with its directory
            text = text[: text.rfind(b"\n") + 1]
            self._read[log] = self._read.get(log, 0) + len(text)
            for statement in reached(text.decode("utf-8", "replace")):
                self._statements[statement].add(test)


def pytest_configure(config: pytest.Config) -> None:
    """Note what is reached."""
    config.pluginmanager.register(Reached(Path(os.environ["REACHED_NOTES"])))


def _attribute(name: str) -> None:
    """Say who reaches what is reached from now on, in this process, its forks, and those that it starts."""
    os.environ[_VARIABLE] = name
    if measured := coverage.Coverage.current():
        measured.set_option("run:context", name)
        measured.switch_context(name)


def _name(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def _file(name: str) -> str:
    return name.partition("::")[0]


def _shared_name(fixture: str) -> str:
    """Each process of pytest has a fixture of its own, and files of its own that use it."""
    return f"@{fixture}:{os.getpid()}"


def _logs(directory: Path) -> Iterator[Path]:
    """Logs of Redis, wherever tests let it write them."""
    for place, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if name != "postgres"]
        yield from (Path(place, name) for name in files if name.endswith("log"))
