"""The check of dependencies in `make check`: it finds what is only imported and what is only declared."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.environments import ROOT

DECLARED = (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (DECLARED, set()),
        (DECLARED.replace('    "structlog>', '    # "'), {("DEP003", "structlog")}),
        (DECLARED.replace('    "starlette>', '    # "'), {("DEP003", "starlette")}),
        (DECLARED.replace("\ndependencies = [", '\ndependencies = ["tomli",'), {("DEP002", "tomli")}),
        (
            DECLARED.replace('    "redis>', '    # "').replace("\ndev = [", '\ndev = ["redis",'),
            {("DEP004", "redis")},
        ),
    ],
    ids=["as it is", "imported only", "brought by another only", "declared only", "declared for development only"],
)
def test_a_dependency_is_declared_if_and_only_if_it_is_used(
    tmp_path: Path, declared: str, found: set[tuple[str, str]]
) -> None:
    config, report = tmp_path / "pyproject.toml", tmp_path / "report.json"
    config.write_text(declared)
    program = Path(sys.executable).with_name("deptry")
    subprocess.run([program, "src", "--config", config, "--json-output", report], cwd=ROOT, capture_output=True)
    assert {(fault["error"]["code"], fault["module"]) for fault in json.loads(report.read_text())} == found
