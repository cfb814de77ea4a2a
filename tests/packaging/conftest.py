"""What a user can install, and environments in which it is installed."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from tests.environments import ROOT, environment, run_uv

PROJECTS = {"carecase-worker": ROOT, "carecase-client": ROOT / "packages" / "client"}
WAYS = {
    "as locked": ("--constraints", "requirements.lock"),
    "lowest": ("--constraints", "requirements-lowest.lock"),
    "in the image": ("--require-hashes", "--requirements", "requirements-image.lock"),
}
"""The versions with which a package is installed, and how uv is told of them."""


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist and the wheel of each project, the wheel built from what is in the sdist."""
    place = tmp_path_factory.mktemp("distributions")
    for project in PROJECTS.values():
        run_uv("build", "--python", sys.executable, "--no-build-isolation", "--out-dir", place, project)
    return place


@pytest.fixture(scope="session")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """Install `NAME` or `NAME[extra]` in one of the WAYS, with what it declares and nothing else; its `carecase`."""

    @cache
    def install(name: str, way: str) -> str:
        project, _, extra = name.partition("[")
        (wheel,) = distributions.glob(f"{project.replace('-', '_')}-*.whl")
        wanted = f"{project}[{extra} @ {wheel.as_uri()}" if extra else str(wheel)
        place = tmp_path_factory.mktemp("environment") / "venv"
        programs = environment(place, *WAYS[way], *(() if way == "in the image" else (wanted,)))
        if way == "in the image":  # the lock is for hashed packages only, and must hold all that the wheel wants
            run_uv("pip", "install", "--python", programs / "python", "--no-deps", wanted)
            run_uv("pip", "check", "--python", programs / "python")
        return str(programs / "carecase")

    return install
