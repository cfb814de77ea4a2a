"""The order in which files of tests are given to processes: a run has to end with every processor busy.

Files go as a whole, and those that take longest go first. Those that use the session's system go to few processes, each
of which starts one: a start costs as much as a hundred tests.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

_ROOT = Path(__file__).parent.parent
_SYSTEMS = 2
_LONGEST_FIRST = (
    "containers/",
    "chaos/",
    "hostile/",
    "packaging/",
    "acceptance/test_operator",
    "acceptance/test_bench",
    "mutants/",
    "acceptance/",
    "observing/",
    "contract/",
    "integration/targets/refusals/",
    "integration/worker/flower_page/",
    "integration/embedded/",
    "unit/test_cutting",
    "integration/",
    "unit/test_validation_oracle",
)
_SHARE_FIXTURES = ("tests/acceptance/privacy/", "tests/integration/worker/flower_page/")
"""Directories whose files share what takes long to start, and so go to one process."""
_TAKES_SYSTEM = re.compile(
    r"^def test_\w+\([^()]*\b(?:system: System|guarded: System|visit: Visit|come: Callable)\b", re.MULTILINE
)


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Deals out files, those that share a system together."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self._groups: dict[str, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        for directory in _SHARE_FIXTURES:
            if file.startswith(directory):
                return directory
        if not shares_system(file):
            return file
        return self._groups.setdefault(file, f"system {len(self._groups) % _SYSTEMS}")


def place_in_line(item: pytest.Item) -> tuple[bool, int]:
    """The key by which tests are sorted: what shares a system makes the longest parts, so that goes first."""
    file = item.nodeid.partition("::")[0]
    beginnings = (f"tests/{kind}" for kind in _LONGEST_FIRST)
    place = next((place for place, beginning in enumerate(beginnings) if file.startswith(beginning)), 99)
    return not shares_system(file), place


@cache
def shares_system(file: str) -> bool:
    """Tell if a test in a file takes the session's system."""
    return bool(_TAKES_SYSTEM.search((_ROOT / file).read_text("utf-8")))
