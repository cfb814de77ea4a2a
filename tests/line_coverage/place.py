"""The directory of a coverage run: what the run measures with, and what its processes leave there."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.line_coverage.lua import instrumented

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "src" / "carecase_worker"
SCRIPTS = PACKAGE / "store" / "lua"
BUILD = ROOT / "build" / "coverage"

_CONFIG = """
[run]
branch = true
source = {source}
data_file = {data}
parallel = true
sigterm = true
patch =
    _exit
    fork
context = ${{REACHED_BY-}}
[report]
exclude_also =
    case never:
    if TYPE_CHECKING:
"""
"""Read by every process that the environment of the run reaches: coverage.py has a hook for the start of Python."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory for one run of pytest."""

    directory: Path

    @property
    def config(self) -> Path:
        """The configuration of coverage.py."""
        return self.directory / "coverage.ini"

    @property
    def data(self) -> Path:
        """The beginning of the names of coverage.py's data files, one for each process."""
        return self.directory / "data"

    @property
    def notes(self) -> Path:
        """The directory of what pytest's processes have noted."""
        return self.directory / "notes"

    @property
    def sources(self) -> Path:
        """The directory to import the package from: links to its modules, and scripts that note what they reach."""
        return self.directory / "src"

    def environment(self) -> dict[str, str]:
        """The environment in which everything is measured."""
        return {
            **os.environ,
            "COVERAGE_PROCESS_START": str(self.config),
            "PYTHONPATH": str(self.sources),
            "REACHED_NOTES": str(self.notes),
        }


@contextmanager
def prepared() -> Iterator[Place]:
    """A place of its own for a run; it goes at the end."""
    with tempfile.TemporaryDirectory(prefix="coverage-", ignore_cleanup_errors=True) as directory:
        place = Place(Path(directory))
        place.notes.mkdir()
        place.config.write_text(_CONFIG.format(source=PACKAGE, data=place.data))
        _copy_sources(place.sources)
        yield place


def _copy_sources(directory: Path) -> None:
    for path in PACKAGE.rglob("*"):
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        copy = directory / path.relative_to(PACKAGE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".lua":
            copy.write_text(instrumented(path.stem, path.read_text("utf-8")), "utf-8")
        else:
            copy.symlink_to(path)
