"""Line numbers of items, as runs."""

import pytest

from carecase_worker.batches.line_numbers import LineRuns, joined_runs, lines_of_runs, runs_of_lines


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
