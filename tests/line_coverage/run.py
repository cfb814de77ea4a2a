"""A run of pytest with everything measured: its own processes, and all that the tests start."""

import subprocess
import sys
from collections.abc import Sequence

import coverage
from tests.line_coverage.place import ROOT, Place


def run_measured(place: Place, arguments: Sequence[str]) -> int:
    """Run pytest; its exit status."""
    plugin = ("-p", "tests.line_coverage.plugin", f"--basetemp={place.directory / 'tmp'}")
    command = [sys.executable, "-m", "pytest", *plugin, *arguments]
    status = subprocess.run(command, cwd=ROOT, env=place.environment(), check=False).returncode
    coverage.Coverage(config_file=str(place.config)).combine()
    return status
