"""The check of dependencies in `make check`: it finds what is only imported and what is only declared."""

import json
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
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
            DECLARED.replace('    "redis[', '    # "').replace("\ndev = [", '\ndev = ["redis",'),
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


def test_the_lowest_versions_are_the_declared_bounds() -> None:
    project = tomllib.loads(DECLARED)["project"]
    declared = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    lowest = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements-lowest.lock").read_text(), re.MULTILINE))
    for bound in map(Requirement, declared):
        (least,) = (one.version for one in bound.specifier if one.operator == ">=")
        assert f"{lowest[bound.name]}.".startswith(f"{least}."), f"{bound}: run make lock"
