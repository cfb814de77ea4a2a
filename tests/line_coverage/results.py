"""Results of runs: what was reached and by whom. They are kept in the build directory until a run measures it again."""

import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from tests.line_coverage.lua import Statement
from tests.line_coverage.place import BUILD, Place

_RUNS = BUILD / "runs"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one run of pytest."""

    directory: Path

    @property
    def data(self) -> Path:
        """The file with the data of coverage.py, of all processes."""
        return self.directory / "data"

    @property
    def statements(self) -> dict[Statement, list[str]]:
        """The tests that reach each statement of the scripts."""
        noted = self._notes()["statements"].items()
        return {Statement(script, int(line), int(column)): tests for (script, line, column), tests in _split(noted)}

    @property
    def tests(self) -> dict[str, dict[str, Any]]:
        """The tests that were run: how many seconds they took, and whether they passed."""
        return dict(self._notes()["tests"])

    @property
    def shared(self) -> dict[str, list[str]]:
        """The files that had each fixture that several files share."""
        return dict(self._notes()["shared"])

    def _notes(self) -> dict[str, Any]:
        return dict(json.loads((self.directory / "notes.json").read_text()))


def results() -> list[Result]:
    """List the results of all runs that the build directory holds."""
    return [Result(path) for path in sorted(_RUNS.glob("*"))]


def forget_results() -> None:
    """Delete the results of earlier runs."""
    shutil.rmtree(_RUNS, ignore_errors=True)


def keep(name: str, place: Place) -> None:
    """Keep what a run has left in its place, which has been put together, in place of an earlier result of the name."""
    _RUNS.mkdir(parents=True, exist_ok=True)
    directory = _RUNS / f"{name.removeprefix('tests/').replace('/', '-')[:60]}-{crc32(name.encode()):08x}"
    draft = Path(tempfile.mkdtemp(dir=BUILD))
    shutil.move(place.data, draft / "data")
    (draft / "notes.json").write_text(json.dumps(_all_notes(place)))
    shutil.rmtree(directory, ignore_errors=True)
    draft.rename(directory)


def _all_notes(place: Place) -> dict[str, Any]:
    """The notes of all pytest's processes as one."""
    statements: defaultdict[str, set[str]] = defaultdict(set)
    seconds: defaultdict[str, float] = defaultdict(float)
    failed: set[str] = set()
    shared: dict[str, list[str]] = {}
    for path in place.notes.iterdir():
        document = json.loads(path.read_text())
        for name, tests in document["statements"].items():
            statements[name] |= set(tests)
        for test, spent in document["seconds"].items():
            seconds[test] += spent
        failed |= set(document["failed"])
        shared |= document["shared"]
    return {
        "statements": {name: sorted(tests) for name, tests in statements.items()},
        "shared": shared,
        "tests": {test: {"seconds": round(spent, 2), "passed": test not in failed} for test, spent in seconds.items()},
    }


def _split(tests_by_name: Any) -> Iterator[tuple[list[str], list[str]]]:
    return ((name.split(":"), tests) for name, tests in tests_by_name)
