"""Line numbers of items, as runs."""

import msgspec
import pytest

from carecase_worker.batches.chunking import Chunk, Chunker, ChunkLimits
from carecase_worker.batches.line_numbers import LineRuns, NumberedItems, joined_runs, lines_of_runs, runs_of_lines


@pytest.mark.parametrize(
    "groups",
    [[[2, 3], [4, 5]], [[2], [5], [6, 7, 9]], [[], [3]], [[1, 4], [], [5]], [[9, 10, 12], [13, 20], [21]]],
    ids=str,
)
def test_runs_of_groups_are_those_of_all(groups: list[list[int]]) -> None:
    runs: LineRuns = ()
    count = 0
    for lines in groups:
        runs = joined_runs(runs, count, runs_of_lines(lines))
        count += len(lines)
    together = [line for lines in groups for line in lines]
    assert runs == runs_of_lines(together)
    assert list(lines_of_runs(runs, count)) == together


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_a_chunk_has_the_lines_of_its_own_items_also_where_it_ends_by_its_size(calls: int) -> None:
    lines, chunks = [2, 3, 7, 8, 12], list[Chunk]()
    cutter = Chunker(ChunkLimits(items=3, size=12, item_size=100))
    for call in range(calls):
        own = lines[call : call + 1] if call < calls - 1 else lines[call:]
        chunks += cutter.add(NumberedItems([msgspec.Raw(b'"four"')] * len(own), own))
    chunks += cutter.finish()
    assert [chunk.lines for chunk in chunks] == [((0, 2),), ((0, 7),), ((0, 12),)]
