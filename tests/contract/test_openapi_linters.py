"""The published description passes the linters that people run over it before they generate a client."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.system import System
from tests.kept import KeptDirectories
from tests.needs import need
from tests.plain_http import http_get

LINTERS = Path(__file__).parent / "linters"


@pytest.fixture(scope="module")
def linters(kept: KeptDirectories) -> Path:
    """A folder with the programs of the linters."""
    npm = need("npm", "Node.js 20 or newer")

    def make(place: Path) -> None:
        shutil.copytree(LINTERS, place)
        run(npm, "ci", "--no-audit", "--no-fund", "--prefer-offline", "--silent", cwd=place)

    made_of = [(LINTERS / name).read_text() for name in ("package.json", "package-lock.json")]
    return kept.directory("linters", make, made_of) / "node_modules" / ".bin"


@pytest.fixture(scope="module")
def place(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the description as it is served."""
    place = tmp_path_factory.mktemp("linters")
    served = http_get(f"{system.stack['intake']['url']}/openapi.json")
    (place / "openapi.json").write_bytes(served.content)
    return place


def run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_spectral_has_no_warning(linters: Path, place: Path) -> None:
    ruleset = f"--ruleset={LINTERS / 'spectral.yaml'}"
    run(linters / "spectral", "lint", ruleset, "--fail-severity=hint", "openapi.json", cwd=place)


def test_redocly_has_no_warning(linters: Path, place: Path) -> None:
    run(linters / "redocly", "lint", "--extends=recommended-strict", "openapi.json", cwd=place)
