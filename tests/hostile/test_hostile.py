"""A short run of the hostile requests; `make hostile` is the long one, and holds how long another client waits."""

from pathlib import Path

import pytest
from tests.acceptance.system import System
from tests.hostile.bench import SHORT, Bench
from tests.hostile.catalogue import ATTACKS
from tests.hostile.table import row


def test_each_attack_is_bounded_and_all_together_leave_another_client_served(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)  # to note lines is no part of what an attack costs
    report = Bench(tmp_path, SHORT).run_beside(system, list(ATTACKS), lambda cost: print(row(cost)))
    assert report.faults == []
    assert report.together is not None
    assert sum(tally.requests for tally in report.together.tallies.values()) > len(ATTACKS), "they did attack"
    assert report.together.meanwhile.faultless, report.together.meanwhile
