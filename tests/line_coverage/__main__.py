"""`make coverage`: python -m tests.line_coverage [--map [FILE]] [TEST FILE or DIRECTORY …]

Ends with what no test reaches, and fails if unreached.toml has no reason for it. With --map it makes the map instead.
"""

import argparse
import sys
from pathlib import Path

from tests.line_coverage.gaps import LIST, gaps, lines_of, read_excuses, sorted_out
from tests.line_coverage.map import groups, notes, read_map, test_files
from tests.line_coverage.place import ROOT, prepared
from tests.line_coverage.run import run_measured

_SLOW = ("containers", "packaging", "line_coverage")
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("tests", type=Path, nargs="*", help="all but tests of containers and packages, if none is named")
parser.add_argument(
    "--map",
    type=Path,
    nargs="?",
    const=ROOT / "build" / "coverage-map.json",
    help="write which test reaches which line",
)
parser.add_argument("--options", default="", help="options of pytest, as one text")
options = parser.parse_args()
tests = options.tests or [path for path in sorted((ROOT / "tests").iterdir()) if path.name not in _SLOW]


def make_map(path: Path) -> bool:
    """Run the tests, each group into the map; whether all went well. It is written after each."""
    path.parent.mkdir(exist_ok=True)
    found, fine = read_map(path), True
    for files in groups(test_files(tests)):
        print(*files, flush=True)
        with prepared() as place:
            fine = run_measured(place, ["-p", "no:xdist", *options.options.split(), *files]) == 0 and fine
            found.add(files, place)
        found.write(path)
    return fine


def find_gaps() -> bool:
    """Run the tests and tell what they do not reach; whether they went well and no reason is lacking."""
    with prepared() as place:
        status = run_measured(place, [*options.options.split(), *test_files(tests)])
        found = gaps(place, notes(place)[0].keys())
    left, idle = sorted_out(found, read_excuses())
    print(f"\nWhat no test reaches, and {LIST.name} gives no reason for:", *(lines_of(left) or ["nothing"]), sep="\n")
    if options.tests:
        return status == 0
    for excuse in idle:
        print(f"{LIST.name} gives a reason for what is reached, or is not there: {excuse.file}: {excuse.line}")
    return status == 0 and not left and not idle


sys.exit(not (make_map(options.map) if options.map else find_gaps()))
