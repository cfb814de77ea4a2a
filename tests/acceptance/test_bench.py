"""The benchmark runs, and everybody in it writes what there was to write; how fast is not this test's business."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from carecase_worker.settings.loading import process_environment

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.timeout(900)
def test_a_quick_run_of_the_benchmark_has_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", str(figures)],
        cwd=ROOT,
        env=process_environment(),
        capture_output=True,
        text=True,
        timeout=890,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(figures.read_text())
    raced = {(race["name"], race["workload"]) for race in found["cases_per_second"]}
    assert {("limit", "all new"), ("carecase", "all superseded"), ("carecase", "all new, in eight databases")} <= raced
    assert {name for name, _ in raced} >= {"copy", "core", "commit", "savepoint", "celery-one", "celery-many"}
    assert all(rate > 0 for race in found["cases_per_second"] for rate in race["rounds"])
    assert {"latency", "polls_s", "results", "sizes", "cpu", "small", "behind", "observing"} <= set(found)
    assert "LEFT OUT: dlt" in ran.stdout or ("dlt", "all new") in raced
