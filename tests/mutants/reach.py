"""The tests that run over a line: those of a measured map if there is one, else those that import the module."""

import ast
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from tests.mutants.mutant import Mutant

MAP = Path("build") / "coverage" / "map.json"
STAGES = ("tests/unit", "tests/integration", "tests/contract", "tests/acceptance")
"""From the cheapest to the dearest. Tests of architecture, packages, containers and random faults are left out."""
_PACKAGE = "carecase_worker"
_UNMEASURED_SECONDS = 5.0
_START_SECONDS = 15.0
"""Of a running system, for each file of tests that needs one."""
_HUNG_SECONDS = {"tests/unit/": 20.0, "tests/integration/": 60.0, "tests/": 120.0}
"""By which a test hangs that takes so much longer than measured: the first one of a run starts what all need."""
_MOST_SECONDS = 240.0
_RUNNING_SYSTEM = {
    "cli": ("test_command_line", "test_submit", "test_operator", "test_endings", "test_doctor", "test_tokens"),
    "client": ("test_client", "test_client_docs", "test_submit"),
    "embedded": ("test_operator", "test_kills"),
    "intake": (
        "test_main_job",
        "test_refusals",
        "test_results",
        "test_waiting",
        "http/test_versions",
        "test_parameters",
        "../contract/test_openapi",
    ),
    "worker": ("test_main_job", "test_outages", "test_kills", "limits/test_rate", "test_lifetimes"),
    "targets": ("test_main_job", "test_outages", "test_databases"),
    "store": ("test_main_job", "test_lifetimes", "test_job_list", "test_outages", "test_waiting"),
    "broker": ("test_main_job", "test_outages"),
    "batches": ("test_main_job", "test_whole_batches"),
    "flower": ("test_flower",),
}  # fmt: skip


class Reach:
    """The tests of a repository by the lines of its package."""

    def __init__(self, root: Path, measured: Path) -> None:
        """Choose from the tests below `root`, by a map if there is one; files may hold mutants later, not yet."""
        self._root = root
        self._measured = Measured(json.loads(measured.read_text("utf-8"))) if measured.exists() else None
        self._newer = _written_after(root, measured.stat().st_mtime if measured.exists() else 0)
        self._imported: dict[Path, frozenset[str]] = {}
        for path in (root / "src" / _PACKAGE).rglob("*.py"):
            self._imports(path)

    def seconds(self, test: str) -> float:
        """The time that a test took as the map was made; a guess for one that is not on it."""
        return self._measured.seconds(test) if self._measured else _UNMEASURED_SECONDS

    def within(self, tests: Sequence[str], budget: float) -> list[str]:
        """The first tests that took no longer than the budget together, and at least one; a file's in its own order."""
        files = [_file(test) for test in tests]
        new = (file.startswith(STAGES[-1]) and file not in files[:at] for at, file in enumerate(files))
        taken = accumulate(self.seconds(test) + _START_SECONDS * start for test, start in zip(tests, new, strict=True))
        bought = sum(seconds <= budget for seconds in taken)
        found = tests[: max(bought, 1)]
        return sorted(found, key=lambda test: (files.index(_file(test)), self._place(test)))

    def limit(self, test: str) -> float:
        """The seconds after which a test hangs: it may set up what others of its file share."""
        shared = 0.0 if self._measured is None else self._measured.slowest(_file(test))
        least = next(seconds for stage, seconds in _HUNG_SECONDS.items() if test.startswith(stage))
        return min(least + shared + self.seconds(test), _MOST_SECONDS)

    def tests_of(self, mutant: Mutant) -> list[list[str]]:
        """The tests to run, stage by stage, in each the nearest first; a test is a file or a function in it."""
        found = list(dict.fromkeys(self._all_tests(mutant)))
        return [[test for test in found if test.startswith(f"{stage}/")] for stage in STAGES]

    def _all_tests(self, mutant: Mutant) -> list[str]:
        if self._measured is None or mutant.path not in self._measured.lines:
            return self._by_import(mutant.path)
        numbers = () if self._is_newer(mutant.path) else mutant.lines
        by_import = self._by_import(mutant.path)
        found = self._measured.tests(mutant.path, numbers)
        if not found or self._measured.runs_at_import(mutant.path, numbers):
            found |= self._measured.tests_in(by_import)
        near = self._near(mutant.path)
        unmeasured = [test for test in by_import if self._measured.lacks(test)]
        effort = self._measured.effort
        own = [file for file in near if _module(mutant.path) in _names(self._root / file)]
        nearby = {*near, *(file for file in by_import if file.startswith(STAGES[-1]))}

        def order(test: str) -> tuple[object, ...]:
            """Those whose file imports the module itself, then by a helper or the table, then the least effort."""
            return _file(test) not in own, _file(test) not in nearby, effort(test), test

        reaching = sorted(filter(self._is_there, found), key=order)
        return [*filter(self._is_newer, near), *reaching, *unmeasured]

    def _is_newer(self, path: str) -> bool:
        """Tell whether a file was written after the map: its lines, or its tests, are others then."""
        return path in self._newer

    def _is_there(self, test: str) -> bool:
        file, *names = test.split("::")
        path = self._root / file
        if not path.exists():
            return False
        text = path.read_text("utf-8")
        # a function, or a class that may inherit it
        return not names or f"def {names[-1]}(" in text or any(f"class {name}(" in text for name in names[:-1])

    def _place(self, test: str) -> int:
        """The place of a test in its file: the last ones may end what the others share."""
        return (self._root / _file(test)).read_text("utf-8").find(f"def {test.rpartition('::')[2]}(")

    def _near(self, path: str) -> list[str]:
        """The unit and integration tests that import a module."""
        tests = [test for stage in STAGES[:2] for test in sorted((self._root / stage).rglob("test_*.py"))]
        near = [test for test in tests if _module(path) in self._imports(test)]
        return [test.relative_to(self._root).as_posix() for test in near]

    def _by_import(self, path: str) -> list[str]:
        """Tests that import a module, then those that import one that does; a table for the running system."""
        users = self._users(_module(path))
        tests = [test for stage in STAGES[:2] for test in sorted((self._root / stage).rglob("test_*.py"))]
        far = [test for test in tests if self._imports(test) & users]
        package = path.removeprefix(f"src/{_PACKAGE}/").partition("/")[0]
        running = _RUNNING_SYSTEM.get(package, ("test_main_job", "test_operator", "test_lifetimes"))
        files = [*far, *((self._root / STAGES[-1] / f"{name}.py").resolve() for name in running)]
        return [*self._near(path), *(file.relative_to(self._root).as_posix() for file in files if file.exists())]

    def _users(self, module: str) -> set[str]:
        """A module of the package and those that import it, at any distance."""
        sources = (self._root / "src" / _PACKAGE).rglob("*.py")
        imported = {_module(path.relative_to(self._root).as_posix()): self._imports(path) for path in sources}
        users, found = {module}, {module}
        while found:
            found = {name for name, needs in imported.items() if needs & users} - users
            users |= found
        return users

    def _imports(self, path: Path) -> frozenset[str]:
        """The modules of the package that a file imports, by helpers of the tests as well."""
        if path not in self._imported:
            self._imported[path] = frozenset(_imports(self._root, path, set()))
        return self._imported[path]


class Measured:
    """The map that a run of coverage leaves (see tests/line_coverage/map.py)."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        names = document["names"]
        self.lines: dict[str, dict[int, set[str]]] = {
            path: {int(line): {names[at] for at in by} for line, by in lines.items()}
            for path, lines in document["lines"].items()
        }
        self._breadth = Counter(test for lines in self.lines.values() for by in lines.values() for test in by)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._functions: defaultdict[str, list[str]] = defaultdict(list)
        self._failed = {_file(test) for test, notes in document["tests"].items() if not notes["passed"]}
        for test, notes in document["tests"].items():
            file = _file(test)
            self._seconds[test] = notes["seconds"]
            self._seconds[file] += notes["seconds"]
            self._functions[file].append(test)

    def seconds(self, test: str) -> float:
        """The time that a test, or all of a file, took."""
        return self._seconds.get(test, _UNMEASURED_SECONDS)

    def slowest(self, file: str) -> float:
        """The time that the slowest test of a file took."""
        return max((self._seconds[test] for test in self._functions[file]), default=_UNMEASURED_SECONDS)

    def lacks(self, file: str) -> bool:
        """Tell whether the map was made without a file of tests, or with one that failed before it reached much."""
        return file not in self._seconds or file in self._failed

    def effort(self, test: str) -> float:
        """The seconds of a test times the lines that it, or its whole file, reaches."""
        return self.seconds(test) * max(1, self._breadth[test] or self._breadth[_file(test)])

    def runs_at_import(self, path: str, numbers: Iterable[int]) -> bool:
        """Tell whether one of some lines runs as its module is imported, or is not on the map."""
        return any("" in by for by in self._reached(path, numbers))

    def tests_in(self, files: Iterable[str]) -> set[str]:
        """The measured tests of some files."""
        return {test for file in files for test in self._functions.get(file, ())}

    def tests(self, path: str, numbers: Iterable[int]) -> set[str]:
        """The tests that reach some lines; of lines that run at import, those that reach others.

        Each program that a test starts runs the lines of an import: they tell nothing.
        """
        reached = self._reached(path, numbers)
        if any("" in by for by in reached):
            lines = self.lines[path].values()
            reached = [by for by in lines if "" not in by] or [*lines]
        found = set().union(*reached) - {""}
        alone = {test for test in found if "::" in test}
        return alone | {test for file in found - alone for test in self._functions.get(file) or [file]}

    def _reached(self, path: str, numbers: Iterable[int]) -> list[set[str]]:
        lines = self.lines[path]
        return [lines.get(number, {""}) for number in numbers] or [{""}]


def _written_after(root: Path, moment: float) -> frozenset[str]:
    """The files of the package and the tests that were written after a moment (of `st_mtime`)."""
    files = [path for place in ("src", "tests") for path in (root / place).rglob("*.*") if path.is_file()]
    return frozenset(path.relative_to(root).as_posix() for path in files if path.stat().st_mtime > moment)


def _file(test: str) -> str:
    return test.partition("::")[0]


def _module(path: str) -> str:
    """The module of a file; a script belongs to the one that reads the scripts."""
    if path.endswith(".lua"):
        return f"{_PACKAGE}.store.scripts"
    return path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imports(root: Path, path: Path, seen: set[Path]) -> Iterator[str]:
    seen.add(path)
    for name in _names(path):
        if name.startswith(_PACKAGE):
            yield name
        helper = root / f"{name.replace('.', '/')}.py"
        if name.startswith("tests.") and helper.exists() and helper not in seen:
            yield from _imports(root, helper, seen)


@cache
def _names(path: Path) -> list[str]:
    """The modules that a file names in its imports, and what it takes of them; a run changes no imports."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    return [
        name
        for node in nodes
        if node.module
        for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    ]
