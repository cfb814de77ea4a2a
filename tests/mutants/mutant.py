"""A mutant: one mistake put into one file, as the exchange of a piece of its text."""

import difflib
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256


@dataclass(frozen=True)
class Mutant:
    """A file of the repository, the piece of its text from `start` to `end`, and what stands there instead."""

    path: str
    text: str
    start: int
    end: int
    instead: str
    kind: str

    @property
    def mutated(self) -> str:
        """The whole text with the mistake."""
        return self.text[: self.start] + self.instead + self.text[self.end :]

    @cached_property
    def name(self) -> str:
        """A name that another text of the file, or another mistake, does not have."""
        text = f"{self.path}\0{self.start}\0{self.end}\0{self.instead}\0{self.text}"
        return sha256(text.encode()).hexdigest()[:12]

    @property
    def lines(self) -> range:
        """The numbers of the lines that the exchanged piece stands on."""
        first = self.text.count("\n", 0, self.start) + 1
        return range(first, first + 1 + self.text.count("\n", self.start, self.end))

    @property
    def before(self) -> str:
        """The lines of the exchanged piece, without indentation."""
        return _plain(self._around(self.text[self.start : self.end]))

    @property
    def after(self) -> str:
        """The lines that these become."""
        return _plain(self._around(self.instead))

    @property
    def diff(self) -> str:
        """The mistake as a unified diff."""
        before, after = (text.splitlines(keepends=True) for text in (self.text, self.mutated))
        return "".join(difflib.unified_diff(before, after, self.path, self.path, n=2))

    def _around(self, piece: str) -> str:
        """A piece in the place of the exchanged one, with the rest of the lines that it stands on."""
        first, last = self.text.rfind("\n", 0, self.start) + 1, self.text.find("\n", self.end)
        return self.text[first : self.start] + piece + self.text[self.end : last if last >= 0 else None]


def exchange(path: str, text: str, span: tuple[int, int], instead: str, kind: str) -> Mutant:
    """A mutant, its piece as short as can be: what is the same at both ends does not belong to the mistake."""
    start, end = span
    same = _same(text[start:end], instead)
    start, instead = start + same, instead[same:]
    same = _same(text[start:end][::-1], instead[::-1])
    return Mutant(path, text, start, end - same, instead[: len(instead) - same], kind)


def _same(one: str, other: str) -> int:
    """The number of characters that both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _plain(lines: str) -> str:
    return "\n".join(line.strip() for line in lines.splitlines())
