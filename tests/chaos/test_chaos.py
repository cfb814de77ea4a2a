"""A short run of the fault harness; `make chaos` is the long one."""

from pathlib import Path

import pytest
from tests.chaos.harness import run


@pytest.mark.timeout(900)
def test_nothing_is_lost_doubled_or_stale_whatever_is_killed(tmp_path: Path) -> None:
    report = run(tmp_path, seed=20, seconds=20)
    print("\n".join(report.lines()))
    assert report.clean, "\n".join(report.lines())
