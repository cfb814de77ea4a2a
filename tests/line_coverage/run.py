"""A run of pytest with everything measured: its own processes, and all that the tests start."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import coverage
from tests.line_coverage.place import ROOT, Place


def run_measured(place: Path, sources: Path, arguments: Sequence[str]) -> tuple[Place, int]:
    """Run pytest; where its measurements are, and its exit status."""
    made = Place(place).make()
    with tempfile.TemporaryDirectory(prefix="coverage-", ignore_cleanup_errors=True) as temporary:
        plugin = ("-p", "tests.line_coverage.plugin", f"--basetemp={temporary}/pytest")
        command = [sys.executable, "-m", "pytest", *plugin, *arguments]
        return made, subprocess.run(command, cwd=ROOT, env=made.environment(sources), check=False).returncode


def combined(place: Place) -> coverage.CoverageData:
    """What all processes of a run have measured."""
    measured = coverage.Coverage(config_file=str(place.config))
    measured.combine(keep=False)
    return measured.get_data()
