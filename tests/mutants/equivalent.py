"""The mutants that nobody can tell from the original, by file, line and mistake, with the reason."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant

LIST = Path("tests") / "mutants" / "equivalent.toml"


@dataclass(frozen=True)
class Equivalent:
    """An entry of the list: a line, or lines, of a file and what becomes of them."""

    file: str
    line: str
    becomes: str
    reason: str

    def means(self, mutant: Mutant) -> bool:
        """Tell whether the entry is about a mutant."""
        return (self.file, self.line, self.becomes) == (mutant.path, mutant.before, mutant.after)


def listed(root: Path) -> list[Equivalent]:
    """The entries of the list."""
    return [Equivalent(**entry) for entry in tomllib.loads((root / LIST).read_text("utf-8")).get("equivalent", [])]


def stale(entries: Iterable[Equivalent], mutants: Iterable[Mutant], paths: Iterable[str]) -> list[Equivalent]:
    """The entries about files of which all mutants are given, and none is meant: the line has changed."""
    known = {(mutant.path, mutant.before, mutant.after) for mutant in mutants}
    looked_at = set(paths)
    return [
        entry for entry in entries if entry.file in looked_at and (entry.file, entry.line, entry.becomes) not in known
    ]
