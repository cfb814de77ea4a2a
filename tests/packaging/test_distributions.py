"""What is in the wheels and sdists: the whole package and the client alone, of one source and one version."""

import tarfile
import tomllib
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from tests.environments import ROOT

from carecase_worker.version import VERSION

SOURCE = ROOT / "src"
NAMES = ("carecase_worker", "carecase_client")
DECLARED = {
    name: tomllib.loads((place / "pyproject.toml").read_text())["project"]
    for name, place in zip(NAMES, (ROOT, ROOT / "packages" / "client"), strict=True)
}


def wheel_of(distributions: Path, name: str) -> dict[str, bytes]:
    with ZipFile(distributions / f"{name}-{VERSION}-py3-none-any.whl") as wheel:
        return {entry: wheel.read(entry) for entry in wheel.namelist()}


def source_files() -> set[str]:
    found = (path for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(SOURCE).as_posix() for path in found}


def test_the_wheel_has_the_package_and_nothing_else(distributions: Path) -> None:
    names = {name for name in wheel_of(distributions, "carecase_worker") if ".dist-info/" not in name}
    assert names == source_files()
    assert {"carecase_worker/py.typed", "carecase_worker/store/lua/admit.lua"} <= names
    assert "carecase_worker/targets/schema/migrations/versions/r0001_care_case_and_ledger.py" in names


def test_the_client_has_the_same_files_but_no_role(distributions: Path) -> None:
    wheel = wheel_of(distributions, "carecase_client")
    files = {name: text for name, text in wheel.items() if ".dist-info/" not in name}
    assert all(text == (SOURCE / name).read_bytes() for name, text in files.items())
    assert "carecase_worker/py.typed" in files
    assert {name.split("/")[1] for name in files}.isdisjoint(
        {"broker", "embedded", "flower", "intake", "store", "targets", "worker"}
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_says_version_licence_and_needs(distributions: Path, name: str) -> None:
    wheel = wheel_of(distributions, name)
    metadata = message_from_bytes(wheel[f"{name}-{VERSION}.dist-info/METADATA"])
    assert (metadata["Name"], metadata["Version"]) == (name.replace("_", "-"), VERSION)
    assert wheel[f"{name}-{VERSION}.dist-info/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert "carecase = carecase_worker.__main__:main" in wheel[f"{name}-{VERSION}.dist-info/entry_points.txt"].decode()
    always = {Requirement(need) for need in metadata.get_all("Requires-Dist", []) if ";" not in need}
    assert always == set(map(Requirement, DECLARED[name]["dependencies"]))


def test_the_client_needs_a_handful_of_what_the_whole_needs() -> None:
    client, whole = (set(DECLARED[name]["dependencies"]) for name in reversed(NAMES))
    assert client < whole
    assert len(client) <= 7


def test_an_sdist_has_what_building_and_testing_takes(distributions: Path) -> None:
    with tarfile.open(distributions / f"carecase_worker-{VERSION}.tar.gz") as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {f"src/{name}" for name in source_files()} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "requirements.lock"} <= names
    assert {"tests/conftest.py", "tests/environments.py", "config/carecase.example.toml"} <= names
    assert [
        name for name in names if name.startswith((".venv", ".carecase", "packages")) or "__pycache__" in name
    ] == []
