"""Virtual environments made by tests: nothing is in them but what was asked for."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPILE_ONCE = {"PYTHONDONTWRITEBYTECODE": ""}
"""For programs of a new environment: pip compiles what it installs, uv leaves that to the first who imports it."""
UV = Path(sys.executable).with_name("uv")


def environment(place: Path, *what: str | Path) -> Path:
    """Make a virtual environment at `place` and install `what`, as pip would; its directory of programs."""
    programs = place / "bin"
    run_uv("venv", "--python", sys.executable, place)
    run_uv("pip", "install", "--python", programs / "python", *what)
    return programs


def run_uv(*arguments: str | Path) -> None:
    """Run uv at the repository's root; its complaint is the assertion's."""
    done = subprocess.run([UV, "--quiet", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
