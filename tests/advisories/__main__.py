"""Known vulnerabilities of what is locked: `make advisories`. No network: the advisories lie in a file.

`make advisories FROM=DIRECTORY` refreshes the file from a checkout of github.com/pypa/advisory-database.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from tests.advisories.osv import Advisory, affected

ROOT = Path(__file__).parents[2]
FILE = ROOT / "advisories" / "pypi.json"
ACCEPTED = ROOT / "advisories" / "accepted.toml"
_LOCKS = ("requirements*.lock",)
_NOT_SHIPPED = {"requirements-lowest.lock"}
"""The lowest versions are for a test only; nobody is given them."""
_KEPT = ("id", "aliases", "modified", "published", "withdrawn", "affected")
"""The parts of an advisory that telling takes; its text is found by its id."""


def locked(root: Path) -> dict[str, set[str]]:
    """The versions of each package in all the locks of what is shipped, built or tested with."""
    versions: defaultdict[str, set[str]] = defaultdict(set)
    for pattern in _LOCKS:
        for lock in root.glob(pattern):
            if lock.name not in _NOT_SHIPPED:
                for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE):
                    versions[canonicalize_name(name)].add(version)
    return dict(versions)


def check(root: Path, advisories: list[Advisory], accepted: dict[str, str]) -> list[str]:
    """A line for each advisory that is not accepted, and for each that is accepted without need."""
    found = list(affected(locked(root), advisories))
    lines = [one.line() for one in found if one.advisory["id"] not in accepted]
    needless = sorted(accepted.keys() - {one.advisory["id"] for one in found})
    return sorted(set(lines)) + [f"{name}: is accepted, and nothing is affected by it any more" for name in needless]


def read_database(place: Path, names: set[str]) -> Iterator[dict[str, Any]]:
    """The advisories of some packages in a checkout of the advisory database."""
    for path in sorted(place.glob("vulns/*/*.yaml")):
        if canonicalize_name(path.parent.name) in names:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            kept = {name: document[name] for name in _KEPT if name in document}
            for part in kept.get("affected", ()):
                part["ranges"] = [versions for versions in part.get("ranges", ()) if versions["type"] != "GIT"]
            yield kept


def refresh(place: Path) -> str:
    """Write the file anew; what was taken, as a line."""
    completed = subprocess.run(
        ["git", "-C", place, "log", "-1", "--format=%H %cs"], capture_output=True, text=True, check=True
    )
    commit, date = completed.stdout.split()
    advisories = list(read_database(place, set(locked(ROOT))))
    source = {
        "repository": "https://github.com/pypa/advisory-database",
        "commit": commit,
        "date": date,
        "licence": "CC-BY-4.0",
    }
    text = json.dumps({"source": source, "advisories": advisories}, indent=1, sort_keys=True, default=str)
    FILE.write_text(f"{text}\n")
    return f"{len(advisories)} advisories as of {date}"


def main() -> int:
    """Refresh the file if so asked; then check the locks. The exit status."""
    parser = argparse.ArgumentParser(prog="make advisories", description=__doc__)
    parser.add_argument("--refresh", type=Path, help="a checkout of github.com/pypa/advisory-database")
    place = parser.parse_args().refresh
    if place is not None:
        print(refresh(place))
    document = json.loads(FILE.read_text())
    accepted = tomllib.loads(ACCEPTED.read_text())["accepted"]
    lines = check(ROOT, document["advisories"], accepted)
    for line in lines:
        print(line)
    packages = len(locked(ROOT))
    advisories, date = len(document["advisories"]), document["source"]["date"]
    print(f"{packages} packages, {advisories} advisories as of {date}: {len(lines)} to do.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
