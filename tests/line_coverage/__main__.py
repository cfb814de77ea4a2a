"""`make coverage`: python -m tests.line_coverage [--map [FILE]] [TEST FILE or DIRECTORY …]"""

import argparse
import sys
from pathlib import Path

from tests.line_coverage.map import groups, read_map, test_files
from tests.line_coverage.place import BUILD, ROOT, copy_sources
from tests.line_coverage.run import run_measured

_SLOW = ("containers", "packaging", "line_coverage")
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("tests", type=Path, nargs="*", help="all but tests of containers and packages, if none is named")
parser.add_argument("--map", type=Path, nargs="?", const=BUILD / "map.json", help="run each test file by itself")
options = parser.parse_args()
tests = options.tests or [path for path in sorted((ROOT / "tests").iterdir()) if path.name not in _SLOW]
sources = copy_sources(BUILD / "src")


def make_map(path: Path) -> bool:
    """Run the tests, each group into the map; whether all went well. It is written after each."""
    found, fine = read_map(path), True
    for files in groups(test_files(tests)):
        print(*files, flush=True)
        place, status = run_measured(BUILD / "map", sources, ["-p", "no:xdist", *files])
        found.add(files, place)
        found.write(path)
        fine = fine and status == 0
    return fine


sys.exit(not make_map(options.map))
