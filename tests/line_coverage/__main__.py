"""`make coverage`: python -m tests.line_coverage [--apart] [TEST FILE or DIRECTORY …]

Runs the tests, writes which of them reach which line (build/coverage/map.json, map.py describes it), ends with what no
test reaches, and fails if unreached.toml has no reason for it. If tests are named, only they are run, and the others
count as they did before: change nothing in src meanwhile.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.line_coverage.gaps import LIST, gaps, lines_of, read_excuses, sorted_out
from tests.line_coverage.map import write_map
from tests.line_coverage.place import ROOT, prepared
from tests.line_coverage.results import forget_results, keep, results
from tests.line_coverage.run import run_measured

_LEFT_OUT = ("containers", "packaging", "mutants")
"""They look at what is installed or changed, and not at the package that is measured."""
_SHARING = ("tests/acceptance/", "tests/contract/")
"""Tests that share a running system. In one run nobody could say which of their files reaches something in it."""


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "tests",
        type=Path,
        nargs="*",
        help="if none is named, all but those of containers, packages and the mutation tool",
    )
    parser.add_argument(
        "--apart", action="store_true", help="files that share a running system one by one, for the map"
    )
    parser.add_argument("--options", default="", help="options of pytest, as one text")
    return parser.parse_args()


def _names(places: Sequence[Path]) -> list[str]:
    """The test files in some files and directories, as pytest names them."""
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("test_*.py")))]
    return [file.resolve().relative_to(ROOT).as_posix() for file in files]


def _groups(tests: Sequence[Path], apart: bool) -> list[tuple[str, list[str]]]:
    """The runs: a name for the result of each, and its files."""
    every = [
        path
        for path in sorted((ROOT / "tests").iterdir())
        if path.name not in _LEFT_OUT and (path.is_dir() or path.match("test_*.py"))
    ]
    names = _names(tests or every)
    together = [name for name in names if not (apart and name.startswith(_SHARING))]
    alone = [(name, [name]) for name in names if name not in together]
    return [("+".join(map(str, tests)) or "all", together), *alone] if together else alone


def _main() -> int:
    options = _parse()
    if not options.tests:
        forget_results()
    fine = True
    for name, files in _groups(options.tests, options.apart):
        with prepared() as place:
            fine = run_measured(place, [*options.options.split(), *files]) == 0 and fine
            keep(name, place)
        write_map(results())
    left, idle = sorted_out(gaps(results()), read_excuses())
    print(
        f"\nWhat no test reaches, and {LIST.name} gives no reason for:", *([*lines_of(left)] or ["nothing"]), sep="\n"
    )
    for excuse in idle:
        print(f"{LIST.name} has a reason for what is reached, or is not there: {excuse.file}: {excuse.line}")
    return int(not fine or bool(left) or bool(idle))


if __name__ == "__main__":
    sys.exit(_main())
