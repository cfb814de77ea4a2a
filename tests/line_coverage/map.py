"""The map: which tests reach which line, and how long they take; by it another tool can choose what to run.

It is JSON:

    {"tests": {"tests/unit/test_retry.py::test_x": {"seconds": 0.1, "passed": true}},
     "names": ["", "tests/unit/test_retry.py", "tests/unit/test_retry.py::test_x"],
     "lines": {"src/carecase_worker/worker/retry.py": {"12": [0, 1]}}}

- `tests`: each test function that was run, all its parameters together, with what is set up for it. What is set up for
  several is in the time of the first of them.
- `lines`: for each line that is reached, Python or Lua, by whom, as places in `names`. A test function is there if it
  reaches the line in its own process or in one that is started for it; a file, if something does that serves several of
  its tests; "" if that happens as a module is imported or as pytest ends. Of a line that nobody but "" reaches, a
  constant or a table, whoever reaches other lines of its file may know more.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import coverage
from tests.line_coverage.lua import Statement
from tests.line_coverage.place import ROOT, SCRIPTS, Place

_SHARING = ("tests/acceptance/", "tests/contract/")


@dataclass
class Map:
    """What is known so far; `lines` are by source file, line and test."""

    tests: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: defaultdict[str, defaultdict[int, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )

    def add(self, files: Collection[str], place: Place) -> None:
        """Add what a run of some test files has reached, in place of what they had before."""
        self._forget(files)
        data = coverage.CoverageData(str(place.data))
        data.read()
        for source in data.measured_files():
            name = Path(source).relative_to(ROOT).as_posix()
            for line, contexts in data.contexts_by_lineno(source).items():
                self.lines[name][line] |= set(contexts)
        statements, tests = notes(place)
        self.tests |= tests
        for statement, names in statements.items():
            script = (SCRIPTS / f"{statement.script}.lua").relative_to(ROOT).as_posix()
            self.lines[script][statement.line] |= names

    def _forget(self, files: Collection[str]) -> None:
        self.tests = {test: told for test, told in self.tests.items() if test.partition("::")[0] not in files}
        for lines in self.lines.values():
            for line, names in lines.items():
                lines[line] = {name for name in names if name.partition("::")[0] not in files}

    def write(self, path: Path) -> None:
        """Write it, at one stroke."""
        names = sorted({name for lines in self.lines.values() for found in lines.values() for name in found})
        number = {name: at for at, name in enumerate(names)}
        lines = {
            source: {str(line): sorted(number[name] for name in found) for line, found in sorted(of.items()) if found}
            for source, of in sorted(self.lines.items())
        }
        draft = path.with_name(f"{path.name}.new")
        draft.write_text(json.dumps({"tests": self.tests, "names": names, "lines": lines}))
        draft.replace(path)


def read_map(path: Path) -> Map:
    """The map in a file; an empty one if there is none."""
    found = Map()
    if not path.exists():
        return found
    told = json.loads(path.read_text())
    found.tests = told["tests"]
    for source, lines in told["lines"].items():
        for line, numbers in lines.items():
            found.lines[source][int(line)] = {told["names"][number] for number in numbers}
    return found


def notes(place: Place) -> tuple[dict[Statement, set[str]], dict[str, dict[str, Any]]]:
    """What pytest's processes have noted: who reaches each statement of the scripts, and the tests that were run."""
    statements: defaultdict[Statement, set[str]] = defaultdict(set)
    tests: dict[str, dict[str, Any]] = {}
    for path in place.lua.iterdir():
        told = json.loads(path.read_text())
        for name, reached_by in told["statements"].items():
            script, line, column = name.split(":")
            statements[Statement(script, int(line), int(column))] |= set(reached_by)
        for name, seconds in told["seconds"].items():
            before = tests.get(name, {"seconds": 0, "passed": True})
            passed = before["passed"] and name not in told["failed"]
            tests[name] = {"seconds": round(before["seconds"] + seconds, 2), "passed": passed}
    return statements, tests


def test_files(places: Iterable[Path]) -> list[str]:
    """The test files in some files and directories, as pytest names them."""
    found = (file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("test_*.py"))))
    return [file.resolve().relative_to(ROOT).as_posix() for file in found]


def groups(files: Iterable[str]) -> list[list[str]]:
    """The files that can be run together; those that share a running system cannot: it would not tell them apart."""
    alone = [[file] for file in files if file.startswith(_SHARING)]
    together = [file for file in files if not file.startswith(_SHARING)]
    return [together, *alone] if together else alone
