"""The mutants that do what the original does, by file, line and mistake, with the reason."""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant

LIST = Path("tests") / "mutants" / "equivalent.toml"


@dataclass(frozen=True)
class Equivalent:
    """An entry of the list: a line, or lines, of a file and what becomes of them; anything, if that is not said."""

    file: str
    line: str
    reason: str
    becomes: str | None = None

    def means(self, mutant: Mutant) -> bool:
        """Tell whether the entry is about a mutant."""
        is_there = self.file == mutant.path and self.line == mutant.before
        return is_there and self.becomes in (None, mutant.after)


def listed(root: Path) -> list[Equivalent]:
    """The entries of the list."""
    return [Equivalent(**entry) for entry in tomllib.loads((root / LIST).read_text("utf-8")).get("equivalent", [])]


def stale(entries: Iterable[Equivalent], mutants: Sequence[Mutant], paths: Iterable[str]) -> list[Equivalent]:
    """The entries about files of which all mutants are given, and none is meant: the line has changed."""
    looked_at = set(paths)
    return [entry for entry in entries if entry.file in looked_at and not any(map(entry.means, mutants))]
