"""The house rules for tests: short modules that import no test module, no private attributes, no idle sleep."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.docstrings import BEGIN, questions

TESTS = Path(__file__).parent
MODULES = sorted(TESTS.rglob("*.py"))
TEST_MODULES = [module for module in MODULES if module.name.startswith("test_")]
OF_THE_LANGUAGE = {"_asdict", "_exit", "_fields", "_make", "_replace"}
"""Names that begin with _ and are public all the same: of namedtuples and of os."""
OWNERS = {"self", "cls"}
TOOLS = ("mutants/", "line_coverage/", "hostile/")
"""Programs of their own, whose docstrings are as those of the package."""
NAMES_INTERNALS = {"unit/test_internals.py"}
"""The list of third parties' internals that the package relies on, by which an upgrade that moves one fails."""


def name_of(module: Path) -> str:
    return module.relative_to(TESTS).as_posix()


@cache
def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text("utf-8"))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OF_THE_LANGUAGE


def is_own(value: ast.expr) -> bool:
    """Tell if an attribute belongs to the object, or the class, whose method it is read in."""
    match value:
        case ast.Name(id=name):
            return name in OWNERS
        case ast.Call(func=ast.Name(id="super")):
            return True
        case _:
            return False


def private_attributes(tree: ast.AST) -> Iterator[int]:
    """The lines on which somebody else's private attribute is read, changed or imported."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=value, attr=name) if is_private(name) and not is_own(value):
                yield node.lineno
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr"), args=[_, ast.Constant(name)]
            ):
                if isinstance(name, str) and is_private(name):
                    yield node.lineno
            case ast.ImportFrom(names=aliases) if any(is_private(alias.name) for alias in aliases):
                yield node.lineno


def idle_sleeps(text: str) -> Iterator[int]:
    """The lines that sleep for longer than no time, and say nothing of why nothing can be awaited."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Attribute(attr="sleep") | ast.Name(id="sleep" | "system_sleep"), args=[duration]):
                yields = isinstance(duration, ast.Constant) and duration.value == 0
                if not yields and "  # " not in lines[(node.end_lineno or node.lineno) - 1]:
                    yield node.lineno


def test_no_test_reads_somebody_elses_private_attribute() -> None:
    reading = [
        f"{name_of(module)}:{line}"
        for module in MODULES
        if name_of(module) not in NAMES_INTERNALS
        for line in private_attributes(tree_of(module))
    ]
    assert reading == [], "test what a user sees, or give the class a public property"


def test_no_test_sleeps_without_a_reason() -> None:
    sleeping = [f"{name_of(module)}:{line}" for module in MODULES for line in idle_sleeps(module.read_text("utf-8"))]
    assert sleeping == [], "await an event, or say beside it why there is none"


def test_no_module_imports_a_test_module() -> None:
    importing = [
        f"{name_of(module)}: {node.module}"
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith("tests.")
        and node.module.rpartition(".")[2].startswith("test_")
    ]
    assert importing == [], "put what tests share into a module of its own"


def test_a_test_module_is_short() -> None:
    assert [name_of(module) for module in TEST_MODULES if len(module.read_text("utf-8").splitlines()) > 300] == []


@pytest.mark.parametrize(
    "text",
    ["store._redis.get('a')", "made()._rest", "getattr(one, '_x')", "from a.b import _c", "one._x = 1", "a.b._c()"],
)
def test_a_private_attribute_is_recognised(text: str) -> None:
    assert list(private_attributes(ast.parse(text))) == [1]


@pytest.mark.parametrize("text", ["self._x", "cls._x", "super()._x()", "row._asdict()", "os._exit(1)", "one.__class__"])
def test_what_is_public_or_ones_own_is_not_taken_for_private(text: str) -> None:
    assert list(private_attributes(ast.parse(text))) == []


@pytest.mark.parametrize("text", ["time.sleep(1)", "await asyncio.sleep(0.1)", "system_sleep(timedelta(1))"])
def test_a_sleep_without_a_reason_is_recognised(text: str) -> None:
    assert list(idle_sleeps(text)) == [1]


@pytest.mark.parametrize("text", ["await asyncio.sleep(0)", "time.sleep(1)  # for the picture to show it"])
def test_a_sleep_with_a_reason_and_one_that_only_yields_are_taken(text: str) -> None:
    assert list(idle_sleeps(text)) == []


def test_a_docstring_of_a_tool_begins_with_no_question_word() -> None:
    tools = [module for module in MODULES if name_of(module).startswith(TOOLS)]
    asked = [f"{name_of(module)}:{question}" for module in tools for question in questions(tree_of(module))]
    assert asked == [], BEGIN
