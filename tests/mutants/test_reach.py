"""The tests that are chosen for a line."""

import json
import os
from pathlib import Path

import pytest
from tests.mutants.mutant import Mutant
from tests.mutants.reach import MAP, Reach

ADD = "src/carecase_worker/jobs/add.py"
TEXT = "LIMIT = 1\n\ndef added():\n    return LIMIT\n"
FILES = {
    ADD: TEXT,
    "src/carecase_worker/store/job_store.py": "from carecase_worker.jobs import add\n",
    "tests/unit/test_add.py": "from carecase_worker.jobs.add import added\ndef test_a(): ...\ndef test_b(): ...\n",
    "tests/unit/test_a_store.py": "from tests.stores import store\ndef test_c(): ...\n",
    "tests/stores.py": "from carecase_worker.store.job_store import store\n",
    "tests/unit/test_other.py": "def test_d(): ...\n",
    "tests/acceptance/test_main_job.py": "def test_e(): ...\n",
}
NAMES = ["", "tests/unit/test_add.py::test_a", "tests/unit/test_add.py::test_b", "tests/acceptance/test_main_job.py"]
SECONDS = {NAMES[1]: 2.0, NAMES[2]: 1.0, f"{NAMES[3]}::test_e": 9.0, "tests/unit/test_a_store.py::test_c": 1.0}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository without a map."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def measure(root: Path, lines: dict[str, list[int]], without: str = "") -> None:
    """Write a map that is as new as the files."""
    tests = {test: {"seconds": seconds, "passed": True} for test, seconds in SECONDS.items() if test != without}
    (root / MAP).parent.mkdir(parents=True)
    (root / MAP).write_text(json.dumps({"tests": tests, "names": NAMES, "lines": {ADD: lines}}))
    for name in (*FILES, str(MAP)):
        os.utime(root / name, (1, 1))


def chosen(root: Path, piece: str) -> list[list[str]]:
    """The tests for a mistake in a piece of the text, in the stages that have some."""
    at = TEXT.index(piece)
    found = Reach(root, root / MAP).tests_of(Mutant(ADD, TEXT, at, at + len(piece), "", "removed"))
    return [stage for stage in found if stage]


def test_without_a_map_they_are_those_that_import_the_module_the_nearest_first(root: Path) -> None:
    assert chosen(root, "return LIMIT") == [
        ["tests/unit/test_add.py", "tests/unit/test_a_store.py"],
        ["tests/acceptance/test_main_job.py"],
    ]


def test_with_a_map_they_are_those_that_reach_the_line_the_quickest_first(root: Path) -> None:
    measure(root, {"1": [0], "4": [1, 2]})
    assert chosen(root, "return LIMIT") == [[NAMES[2], NAMES[1]]]


def test_a_file_that_a_mutant_has_been_put_into_is_as_new_as_it_was(root: Path) -> None:
    measure(root, {"1": [0], "4": [1, 2]})
    at = TEXT.index("LIMIT\n")
    mutant = Mutant(ADD, TEXT, at, at + len("LIMIT"), "", "removed")
    os.utime(root / ADD, (2, 2))
    reach = Reach(root, root / MAP)
    before = reach.tests_of(mutant)
    (root / ADD).write_text("def added(:")
    os.utime(root / ADD, (1, 1))
    assert reach.tests_of(mutant) == before


def test_of_those_the_ones_that_reach_little_else_come_first(root: Path) -> None:
    measure(root, {"1": [0, 2], "3": [0, 2], "4": [1, 2]})
    assert chosen(root, "return LIMIT") == [[NAMES[1], NAMES[2]]], "2 s and 1 line, before 1 s and 3 lines"


def test_of_those_the_ones_whose_file_imports_the_module_itself_come_before_those_by_a_helper(root: Path) -> None:
    measure(root, {})
    (root / "tests/adding.py").write_text("from carecase_worker.jobs.add import added\n")
    (root / "tests/unit/test_a_store.py").write_text("from tests.adding import added\ndef test_c(): ...\n")
    document = json.loads((root / MAP).read_text()) | {"names": [*NAMES, "tests/unit/test_a_store.py::test_c"]}
    (root / MAP).write_text(json.dumps(document | {"lines": {ADD: {"4": [1, 4]}}}))
    for name in ("tests/unit/test_a_store.py", str(MAP)):
        os.utime(root / name, (1, 1))
    assert chosen(root, "return LIMIT") == [[NAMES[1], "tests/unit/test_a_store.py::test_c"]], "2 s, before 1 s"


def test_a_line_that_runs_at_import_is_tried_by_all_that_reach_or_import_its_module(root: Path) -> None:
    measure(root, {"1": [0, 2], "3": [0], "4": [1, 3]})
    unit = [NAMES[2], NAMES[1], "tests/unit/test_a_store.py::test_c"]
    assert chosen(root, "LIMIT = 1") == [unit, [f"{NAMES[3]}::test_e"]]


def test_a_line_that_is_not_on_the_map_is_tried_by_all_of_its_module(root: Path) -> None:
    measure(root, {"1": [0], "3": [1]})
    unit = [NAMES[2], NAMES[1], "tests/unit/test_a_store.py::test_c"]
    assert chosen(root, "return LIMIT") == [unit, [f"{NAMES[3]}::test_e"]]


def test_what_has_changed_since_the_map_is_run_whole(root: Path) -> None:
    measure(root, {"1": [0], "4": [2]})
    os.utime(root / "tests/unit/test_add.py")
    assert chosen(root, "return LIMIT")[0][0] == "tests/unit/test_add.py"


def test_a_test_that_is_gone_is_not_asked_for(root: Path) -> None:
    measure(root, {"4": [1, 2]})
    (root / "tests/unit/test_add.py").write_text("def test_b(): ...\n")
    os.utime(root / "tests/unit/test_add.py", (1, 1))
    assert chosen(root, "return LIMIT") == [[NAMES[2]]]


@pytest.mark.parametrize("inherits", [False, True])
def test_a_test_of_a_class_is_there_also_if_the_class_inherits_it(root: Path, inherits: bool) -> None:
    measure(root, {})
    test = "tests/unit/test_add.py::TestAdding::test_f"
    text = "class TestAdding(Promises): ...\n" if inherits else "class TestAdding:\n    def test_f(self): ...\n"
    (root / "tests/unit/test_add.py").write_text(text)
    document = json.loads((root / MAP).read_text()) | {"names": [test], "lines": {ADD: {"4": [0]}}}
    (root / MAP).write_text(json.dumps(document))
    for name in ("tests/unit/test_add.py", str(MAP)):
        os.utime(root / name, (1, 1))
    assert chosen(root, "return LIMIT") == [[test]]


def test_a_file_that_was_not_measured_is_chosen_by_import(root: Path) -> None:
    measure(root, {"4": [2]}, without="tests/unit/test_a_store.py::test_c")
    assert chosen(root, "return LIMIT") == [[NAMES[2], "tests/unit/test_a_store.py"]]


def test_no_more_tests_are_run_than_the_budget_buys_and_at_least_one(root: Path) -> None:
    measure(root, {})
    b, a, e = tests = [NAMES[2], NAMES[1], f"{NAMES[3]}::test_e"]
    found = [Reach(root, root / MAP).within(tests, budget) for budget in (0.5, 2.9, 3, 26.9, 27)]
    assert found == [[b], [b], [a, b], [a, b], [a, b, e]], "a system takes 15 s to start; a file keeps its order"


def test_a_test_hangs_when_it_takes_far_longer_than_it_and_what_its_file_shares_have_taken(root: Path) -> None:
    measure(root, {})
    limits = [Reach(root, root / MAP).limit(test) for test in (*NAMES[1:3], f"{NAMES[3]}::test_e")]
    assert limits == [20 + 2 + 2, 20 + 2 + 1, 120 + 9 + 9]
