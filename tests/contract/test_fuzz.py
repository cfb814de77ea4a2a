"""A schema-driven fuzzer meets no answer that the published description does not have, and no failure."""

import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.system import System

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "10")
"""Examples per operation and phase; more for a long run: FUZZ_EXAMPLES=500 pytest tests/contract/test_fuzz.py"""


def test_the_fuzzer_finds_nothing(system: System, tmp_path: Path) -> None:
    stack = system.stack
    client = stack["clients"][0]
    variables = {
        "FUZZ_HOOKS": str(HERE / "fuzz_hooks.py"),
        "FUZZ_API_KEY": client["api_key"],
        "FUZZ_TOKEN": client["bearer"],
    }
    command = (
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        HERE / "schemathesis.toml",
        "run",
        f"{stack['intake']['url']}/openapi.json",
        "--checks=all",
        f"--max-examples={EXAMPLES}",
    )
    run = subprocess.run(command, cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Tested: 11" in run.stdout, run.stdout
    assert system.answered_with("500") == 0
