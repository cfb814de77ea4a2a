"""Line numbers of items that were rows of a file."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

LineRuns = tuple[tuple[int, int], ...]
"""Run-length encoded line numbers: the index of each run's first item, and its line; each next item is one line below.

Empty for items that were not rows of a file.
"""


class NumberedItems(list[msgspec.Raw]):
    """Items with the line of each one, from 1."""

    def __init__(self, items: Iterable[msgspec.Raw], lines: Sequence[int]) -> None:
        super().__init__(items)
        self.lines = lines


def runs_of_lines(lines: Sequence[int]) -> LineRuns:
    """Encode line numbers as runs."""
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


def joined_runs(runs: LineRuns, count: int, further: LineRuns) -> LineRuns:
    """Append the runs of further items to those of `count` items."""
    moved = tuple((count + place, line) for place, line in further)
    if runs and moved and runs[-1][1] + count - runs[-1][0] == moved[0][1]:
        moved = moved[1:]
    return runs + moved


def lines_of_runs(runs: LineRuns, count: int) -> Iterator[int]:
    """Yield the line of each of `count` items."""
    ends = [place for place, _ in runs[1:]] + [count]
    for (place, line), end in zip(runs, ends, strict=True):
        yield from range(line, line + end - place)
