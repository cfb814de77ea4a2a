"""A whole run, on a repository with one watched and one unwatched mistake of each kind."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mutants.__main__ import RESULTS, main
from tests.mutants.equivalent import LIST

ADD = "src/carecase_worker/jobs/add.py"
ADMIT = "src/carecase_worker/store/lua/admit.lua"
FILES = {
    ".gitignore": "build/\n__pycache__/\n",
    "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-p no:schemathesis -p no:valkey'\n",
    "src/carecase_worker/__init__.py": "",
    "src/carecase_worker/jobs/__init__.py": "",
    "src/carecase_worker/store/__init__.py": "",
    "src/carecase_worker/store/scripts.py": "",
    ADD: "def added(a: int, b: int) -> int:\n    return a + b\n\n\n"
    "def unwatched(a: int, b: int) -> bool:\n    return a > b\n",
    ADMIT: "return n > limit\n",
    str(LIST): "",
    "tests/unit/test_add.py": """
import subprocess, sys
from carecase_worker.jobs.add import added, unwatched

def test_a_process_of_its_own_adds():
    program = "from carecase_worker.jobs.add import added; print(added(3, 2))"
    done = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True)
    assert done.stdout == "5\\n"

def test_nothing_is_watched():
    assert unwatched(2, 1)
""",
    "tests/unit/test_admit.py": """
from importlib import resources
from carecase_worker.store import scripts

def test_the_limit_itself_is_admitted():
    assert " > " in (resources.files("carecase_worker.store") / "lua" / "admit.lua").read_text()
""",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository, with everything committed."""
    root = tmp_path_factory.mktemp("repository")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    _git(root, "init", "--quiet")
    _git(root, "add", ".")
    _git(root, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message=a")
    return root


def _git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True)


@pytest.fixture(scope="module")
def results(repository: Path) -> dict[tuple[str, str], dict[str, object]]:
    """The verdicts of a run, by file and line as it becomes."""
    assert main(["--jobs", "1", "--least", "100"], repository) == 1, "the score is below the bound"
    records = [json.loads(line) for line in (repository / RESULTS).read_text().splitlines()]
    return {(one["path"], one["after"]): one for one in records}


@pytest.mark.parametrize(
    ("path", "mistake", "verdict"),
    [
        (ADD, "return a - b", "killed"),
        (ADD, "return a >= b", "survived"),
        (ADD, "return None", "refused"),
        (ADMIT, "return n >= limit", "killed"),
        (ADMIT, "return false", "killed"),
    ],
)
def test_a_mistake_is_noticed_where_a_test_looks(
    results: dict[tuple[str, str], dict[str, object]], path: str, mistake: str, verdict: str
) -> None:
    assert results[path, mistake]["verdict"] == verdict


def test_a_result_says_which_tests_ran(results: dict[tuple[str, str], dict[str, object]]) -> None:
    killed, survived = results[ADD, "return a - b"], results[ADD, "return a >= b"]
    assert killed["by"] == "tests/unit/test_add.py::test_a_process_of_its_own_adds"
    assert survived["tests"] == ["tests/unit/test_add.py"]


@pytest.mark.usefixtures("results")
def test_the_working_tree_is_as_it_was(repository: Path) -> None:
    assert {name: (repository / name).read_text() for name in FILES} == FILES


@pytest.mark.usefixtures("results")
def test_a_run_goes_on_where_it_stopped(repository: Path) -> None:
    kept = (repository / RESULTS).read_text()
    (repository / RESULTS).write_text(kept + kept[:20])
    main(["--jobs", "1"], repository)
    assert (repository / RESULTS).read_text() == kept + kept[:20]


@pytest.mark.usefixtures("results")
def test_survivors_are_shown_as_diffs_with_the_score(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--modules", "jobs/add"], repository)
    output = capsys.readouterr().out
    assert "-    return a > b\n+    return a >= b\ntests: tests/unit/test_add.py\n" in output
    assert "admit.lua" not in output


def test_an_equivalent_mutant_does_not_count_and_a_stale_entry_is_reported(
    repository: Path, capsys: pytest.CaptureFixture[str], results: dict[tuple[str, str], dict[str, object]]
) -> None:
    entries = [
        ("return a > b", 'becomes = "return a >= b"'),
        ("return a + b", ""),
        ("return b", 'becomes = "return c"'),
    ]
    (repository / LIST).write_text(
        "".join(
            f'[[equivalent]]\nfile = "{ADD}"\nline = "{line}"\n{becomes}\nreason = "none"\n'
            for line, becomes in entries
        )
    )
    assert main(["--modules", "jobs/add", "--least", "100"], repository) == 0
    (repository / LIST).write_text("")
    output = capsys.readouterr().out
    assert "'return b' -> 'return c'" in output
    assert output.count("matches no mutant") == 1


def test_only_changed_lines_are_tried(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = FILES[ADD].replace("a > b", "b > a")
    (repository / ADD).write_text(text)
    main(["--since", "HEAD", "--list"], repository)
    (repository / ADD).write_text(FILES[ADD])
    output = capsys.readouterr().out
    assert "+    return b >= a\n" in output
    assert "a - b" not in output


def test_a_sample_is_the_same_for_the_same_seed(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for seed in ("1", "1", "2"):
        main(["--sample", "3", "--seed", seed, "--list"], repository)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]
    assert shown[0].count("\n@@ ") == 3


@pytest.mark.usefixtures("results")
def test_a_sample_is_of_those_that_count(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--sample", "3"], repository)
    counts = capsys.readouterr().out.splitlines()[-1].split()
    assert sum(int(count) for count in counts[2:6]) == 3


def test_a_module_that_is_not_there_is_reported(repository: Path) -> None:
    with pytest.raises(SystemExit, match="There is no jobs/sub in"):
        main(["--modules", "jobs/add", "jobs/sub"], repository)


BROKEN = "tests/unit/test_broken.py"


@pytest.fixture
def broken(repository: Path) -> Iterator[Path]:
    """A file of tests, to be written, that is no part of the repository afterwards."""
    (repository / RESULTS).unlink(missing_ok=True)
    yield repository / BROKEN
    (repository / BROKEN).unlink()
    (repository / RESULTS).unlink(missing_ok=True)


def test_a_test_that_fails_without_a_mistake_is_left_out_and_named_and_the_run_ends_with_an_error(
    repository: Path, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken.write_text("from carecase_worker.jobs import add\n\ndef test_that_is_broken():\n    assert add is None\n")
    assert main(["--modules", "jobs/add", "--jobs", "1", "--least", "0"], repository) == 1
    output = capsys.readouterr().out
    assert f"mend it: {BROKEN}::test_that_is_broken\n" in output
    assert "killed by tests/unit/test_add.py::test_a_process_of_its_own_adds" in output, "the others go on"


def test_a_run_ends_at_once_with_the_reason_if_a_file_of_tests_cannot_be_read(repository: Path, broken: Path) -> None:
    broken.write_text("from carecase_worker.jobs import add\n\nassert add is None, 'it is there'\n")
    with pytest.raises(SystemExit, match=r"(?s)without any mistake.*test_broken\.py.*it is there"):
        main(["--modules", "jobs/add", "--jobs", "1"], repository)
