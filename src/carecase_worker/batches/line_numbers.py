"""Items that were rows of a file: each knows the line where its row begins."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

LineRuns = tuple[tuple[int, int], ...]
"""Lines of neighbouring items, as runs: the place of a run's first item, and its line; the next item is a line below.

It is empty for items that were no rows of a file.
"""


class NumberedItems(list[msgspec.Raw]):
    """Items with the line of each one, from 1."""

    def __init__(self, items: Iterable[msgspec.Raw], lines: Sequence[int]) -> None:
        super().__init__(items)
        self.lines = lines


def runs_of_lines(lines: Sequence[int]) -> LineRuns:
    """Return lines as runs."""
    if not lines:
        return ()
    if lines[-1] - lines[0] == len(lines) - 1:  # lines only grow
        return ((0, lines[0]),)
    runs: list[tuple[int, int]] = []
    expected = -1
    for place, line in enumerate(lines):
        if line != expected:
            runs.append((place, line))
        expected = line + 1
    return tuple(runs)


def lines_of_runs(runs: LineRuns, count: int) -> Iterator[int]:
    """Yield the line of each of `count` items."""
    ends = [place for place, _ in runs[1:]] + [count]
    for (place, line), end in zip(runs, ends, strict=True):
        yield from range(line, line + end - place)
