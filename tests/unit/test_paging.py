"""Pages of lists that lie in chunks."""

import json
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.intake.http.requests.paging import ChunkSlice, Page, chunk_slices


def test_a_page_says_where_it_is_in_the_published_form() -> None:
    assert Page(2, 100).header(250) == {
        "x-pagination": '{"TotalCount":250,"TotalPages":3,"CurrentPage":2,"PageSize":100}'
    }
    assert json.loads(Page(1, 10).header(0)["x-pagination"])["TotalPages"] == 0
    assert json.loads(Page(9, 10).header(20)["x-pagination"])["TotalPages"] == 2


def test_only_the_chunks_that_a_page_needs_are_cut() -> None:
    assert list(chunk_slices([1000, 1000, 500], 900, 1100)) == [ChunkSlice(0, 900, 100), ChunkSlice(1, 0, 100)]
    assert list(chunk_slices([0, 3, 0, 4], 2, 5)) == [ChunkSlice(1, 2, 1), ChunkSlice(3, 0, 2)]
    assert list(chunk_slices([5, 5], 10, 20)) == []


@given(st.lists(st.integers(0, 6), max_size=8), st.integers(0, 30), st.integers(0, 30))
def test_cuts_are_the_slice_of_the_whole(wanted: list[int], first: int, size: int) -> None:
    starts = [0, *accumulate(wanted)]
    taken = [
        starts[cut.chunk_no] + place
        for cut in chunk_slices(wanted, first, first + size)
        for place in range(cut.skip, cut.skip + cut.take)
    ]
    assert taken == list(range(sum(wanted)))[first : first + size]
