"""The tests that run over a line: from the map of a measured run if there is one, else those that import the module."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.workshop import ROOT

MAP = ROOT / "build" / "coverage" / "reached.json"
STAGES = ("tests/unit", "tests/integration", "tests/acceptance")
"""From the cheapest to the dearest. Architecture, packages, containers and the fault harness are too dear."""
_PACKAGE = "carecase_worker"
_RUNNING_SYSTEM = {
    "cli": ("test_command_line", "test_submit", "test_operator", "test_endings", "test_doctor", "test_tokens"),
    "client": ("test_client", "test_client_docs", "test_submit"),
    "embedded": ("test_operator", "test_kills"),
    "intake": ("test_main_job", "test_refusals", "test_results", "test_waiting", "test_connections", "test_parameters"),
    "worker": ("test_main_job", "test_outages", "test_kills", "test_guards", "test_lifetimes"),
    "targets": ("test_main_job", "test_outages", "test_databases"),
    "jobs": ("test_main_job", "test_lifetimes", "test_job_list", "test_outages", "test_waiting"),
}


def tests_of(mutant: Mutant) -> list[list[str]]:
    """The files of tests to run, stage by stage."""
    files = _mapped(mutant) or _by_import(mutant.path)
    return [sorted(name for name in files if name.startswith(stage)) for stage in STAGES]


def _mapped(mutant: Mutant) -> set[str]:
    """The files whose tests reached a line of a mutant."""
    if not MAP.exists():
        return set()
    lines: dict[str, list[str]] = json.loads(MAP.read_text()).get(mutant.path, {})
    return {test.partition("::")[0] for number in mutant.lines for test in lines.get(str(number), [])}


def _by_import(path: str) -> set[str]:
    """Unit and integration tests that import a module, straight or by way of one that does; a table for the others."""
    users = _users(_module(path)) if path.endswith(".py") else _users(f"{_PACKAGE}.jobs.scripts")
    found = {
        test.relative_to(ROOT).as_posix()
        for stage in STAGES[:2]
        for test in (ROOT / stage).rglob("test_*.py")
        if _imported(test) & users
    }
    package = path.removeprefix(f"src/{_PACKAGE}/").partition("/")[0]
    running = _RUNNING_SYSTEM.get(package, ("test_main_job", "test_operator", "test_lifetimes"))
    return found | {f"{STAGES[2]}/{name}.py" for name in running}


def _module(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def _users(module: str) -> frozenset[str]:
    """A module of the package and those that import it, at any distance."""
    imported = {
        _module(path.relative_to(ROOT).as_posix()): _imported(path) for path in (ROOT / "src" / _PACKAGE).rglob("*.py")
    }
    users, found = {module}, {module}
    while found:
        found = {name for name, needs in imported.items() if needs & users} - users
        users |= found
    return frozenset(users)


@cache
def _imported(path: Path) -> frozenset[str]:
    """The modules of the package that a file imports, helpers of the tests included."""
    return frozenset(_imports(path, set()))


def _imports(path: Path, seen: set[Path]) -> Iterator[str]:
    seen.add(path)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
            if name.startswith(_PACKAGE):
                yield name
            helper = ROOT / f"{name.replace('.', '/')}.py"
            if name.startswith("tests.") and helper.exists() and helper not in seen:
                yield from _imports(helper, seen)
