"""What a user can install, and environments in which it is installed."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from tests.environments import ROOT, environment, run_uv
from tests.kept import KeptDirectories

PROJECTS = {"carecase-worker": ROOT, "carecase-client": ROOT / "packages" / "client"}
WAYS = {
    "as locked": ("--constraints", "requirements.lock"),
    "lowest": ("--constraints", "requirements-lowest.lock"),
    "in the image": ("--require-hashes", "--requirements", "requirements-image.lock"),
}
"""The versions with which a package is installed, and uv's options for them."""


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist and the wheel of each project, the wheel built from what is in the sdist."""
    place = tmp_path_factory.mktemp("distributions")
    for project in PROJECTS.values():
        run_uv("build", "--python", sys.executable, "--no-build-isolation", "--out-dir", place, project)
    return place


@pytest.fixture(scope="session")
def installed(distributions: Path, kept: KeptDirectories) -> Callable[[str, str], str]:
    """Install `NAME` or `NAME[extra]` in one of the WAYS, with what it declares and nothing else; its `carecase`."""

    @cache
    def install(name: str, way: str) -> str:
        project, _, extra = name.partition("[")
        (wheel,) = distributions.glob(f"{project.replace('-', '_')}-*.whl")
        wanted = f"{project}[{extra} @ {wheel.as_uri()}" if extra else str(wheel)
        lock, declared = ROOT / WAYS[way][-1], PROJECTS[project] / "pyproject.toml"
        # the lock of the image is for hashed packages only, and must hold all that the wheel wants
        what = (*WAYS[way], *(() if way == "in the image" else (wanted,)))
        made_of = (lock.read_text(), declared.read_text())
        place = f"{name} {way}".translate(str.maketrans(" []", "---"))
        programs = kept.directory(place, lambda place: environment(place, *what), made_of) / "bin"
        python = programs / "python"
        run_uv("pip", "install", "--python", python, "--no-deps", "--reinstall", wheel)
        run_uv("pip", "check", "--python", python)
        return str(programs / "carecase")

    return install
