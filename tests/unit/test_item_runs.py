"""Items that come in runs: the same chunks as one by one, and the keys of each, whatever the body looks like."""

import json
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import items_of
from tests.traced_memory import traced_memory
from tests.unit.bodies import require_split_as_json, spoilt

from carecase_worker.batches.chunking import Chunk, Chunker, ChunkLimits
from carecase_worker.batches.item_runs import ItemRun, WaitingRuns
from carecase_worker.batches.key_sets import written_keys
from carecase_worker.batches.splitting import ArraySplitter
from carecase_worker.errors import BatchRefused

INT32 = st.integers(-(2**31), 2**31 - 1)
TRICKY = st.sampled_from(["", "x", '"},{"', "},{", "\\", '\\"},', ",", "]", "],[", "}, {", "ü", "🦉"])
VALUE = TRICKY | st.none() | st.lists(st.dictionaries(TRICKY, TRICKY), max_size=2)
CASE = st.builds(lambda key, more: {"case_Key": key, **more}, INT32, st.dictionaries(TRICKY, VALUE, max_size=3))
OTHER = st.sampled_from([{}, 1, None, {"case_Key": "1"}, {"case_Key": 2**31}, {"case_Key": None}, [{"case_Key": 1}]])
LAYOUTS = st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}, {"separators": (" ,", ":")}])
BOUNDS = st.builds(ChunkLimits, st.integers(1, 9), st.integers(40, 400), st.integers(20, 200))


def cut(body: bytes, bounds: ChunkLimits, window_bytes: int, piece_bytes: int) -> list[Chunk]:
    """The chunks of a body that comes in pieces; its items go on as the splitter gives them."""
    splitter, cutter, chunks = ArraySplitter(window_bytes, bounds.item_size), Chunker(bounds), list[Chunk]()
    for start in range(0, len(body), piece_bytes):
        chunks += cutter.add(splitter.feed(body[start : start + piece_bytes]))
    chunks += cutter.add(splitter.finish())
    assert cutter.total - sum(chunk.count for chunk in chunks) in range(bounds.items)
    return [*chunks, *cutter.finish()]


def seen(chunk: Chunk) -> tuple[Any, ...]:
    return chunk.first, chunk.count, dict(chunk.refused), json.loads(chunk.items)


@settings(max_examples=300)
@given(
    items=st.lists(CASE | OTHER, min_size=1, max_size=30) | st.lists(CASE, min_size=1, max_size=30),
    layout=LAYOUTS,
    bounds=BOUNDS,
    window_bytes=st.integers(1, 150),
    piece_bytes=st.integers(1, 400),
)
def test_chunks_have_every_item_once_in_order_within_the_bounds(
    items: list[Any], layout: dict[str, Any], bounds: ChunkLimits, window_bytes: int, piece_bytes: int
) -> None:
    chunks = cut(json.dumps(items, **layout).encode(), bounds, window_bytes, piece_bytes)
    assert [chunk.first for chunk in chunks] == [sum(c.count for c in chunks[:n]) for n in range(len(chunks))]
    held = [item for chunk in chunks for item in json.loads(chunk.items)]
    refused = {chunk.first + place for chunk in chunks for place in chunk.refused}
    sizes = {n: len(json.dumps(item, **layout).encode()) for n, item in enumerate(items)}
    assert refused <= {n for n in sizes if sizes[n] > bounds.item_size - 60}, "indentation and separators may count"
    assert [one for n, one in enumerate(held) if n not in refused] == [
        one for n, one in enumerate(items) if n not in refused
    ]
    for chunk in chunks:
        assert chunk.count <= bounds.items
        keys_alone = 30 * len(chunk.refused)  # are left of items that are too large
        assert chunk.count == 1 or len(chunk.items) <= bounds.size + chunk.count + 1 + keys_alone
        if chunk.keys is not None:
            assert chunk.keys == written_keys(chunk.items)


@settings(max_examples=200)
@given(st.lists(CASE, min_size=4, max_size=30), LAYOUTS, st.integers(1, 9))
def test_items_that_come_in_runs_are_cut_as_they_are_one_by_one(
    items: list[Any], layout: dict[str, Any], most: int
) -> None:
    body, bounds = json.dumps(items, **layout).encode(), ChunkLimits(most, 1 << 20, 1 << 18)
    one_by_one = Chunker(bounds)
    apart = [*one_by_one.add(items_of(body, ArraySplitter())), *one_by_one.finish()]
    assert [seen(chunk) for chunk in cut(body, bounds, 100, 150)] == [seen(chunk) for chunk in apart]


@settings(max_examples=200)
@given(
    st.lists(CASE, min_size=1, max_size=12), st.floats(0, 1), st.sampled_from([b"", b",", b"}", b"]", b'"', b"x", b"{"])
)
def test_a_run_is_taken_of_nothing_but_json(items: list[Any], place: float, junk: bytes) -> None:
    require_split_as_json(spoilt(items, place, junk))


@pytest.mark.parametrize("piece_bytes", [1_000, 64 << 10])
def test_chunks_of_cases_have_their_keys_however_the_body_comes_in(piece_bytes: int) -> None:
    body = json.dumps([{"case_Key": key, "notes": "x" * 500} for key in range(2_500)]).encode()
    chunks = cut(body, ChunkLimits(1000, 1 << 20, 1 << 20), 64 << 10, piece_bytes)
    assert [chunk.count for chunk in chunks] == [1000, 1000, 500]
    assert [chunk.keys for chunk in chunks[:2]] == [array("I", range(1000)), array("I", range(1000, 2000))]


@pytest.mark.parametrize(
    ("sizes", "takes"), [([3], [1, 2]), ([3, 3], [3, 3]), ([3, 3], [4, 2]), ([2, 2, 2], [1, 4, 1]), ([1, 1, 5], [7])]
)
def test_items_are_taken_of_runs_by_their_number(sizes: list[int], takes: list[int]) -> None:
    numbers, runs = iter(range(100)), WaitingRuns()
    for size in sizes:
        runs.add(ItemRun.of(json.dumps([{"case_Key": next(numbers)} for _ in range(size)]).encode()))
    assert runs.count == sum(sizes)
    taken = [runs.take(count) for count in takes]
    assert [len(run) for run in taken] == takes
    keys = list(range(sum(sizes)))
    assert [item["case_Key"] for run in taken for item in json.loads(run.text)] == keys
    assert [key for run in taken for key in run.keys] == keys
    assert (runs.count, runs.size) == (0, 0)


@pytest.mark.parametrize("before", ["[,", "[," + " " * 140_000, '[{"case_Key":1}, ,' + " " * 140_000, "[ , ,"])
@pytest.mark.parametrize("notes", [1, 140_000])
def test_a_comma_without_an_item_before_it_is_refused_also_in_a_window_of_its_own(before: str, notes: int) -> None:
    large = json.dumps({"x": "a" * notes, "case_Key": 5})
    body = f"{before}{large},{','.join(json.dumps({'case_Key': n}) for n in range(3_000))}]".encode()
    with pytest.raises(BatchRefused, match="JSON is malformed"):
        cut(body, ChunkLimits(1000, 1 << 20, 1 << 18), 64 << 10, 64 << 10)


def test_an_item_that_could_be_too_large_is_looked_at_by_itself() -> None:
    body = json.dumps([{"case_Key": 1, "notes": "x" * 900}, *[{"case_Key": 2}] * 100]).encode()
    chunks = cut(body, ChunkLimits(1000, 1 << 20, 800), 100, 50)
    assert [(chunk.first + place) for chunk in chunks for place in chunk.refused] == [0]


def test_runs_that_wait_do_not_keep_the_blanks_between_their_items_in_memory() -> None:
    splitter, cutter = ArraySplitter(), Chunker(ChunkLimits(1000, 1 << 20, 1 << 18))
    splitter.feed(b"[")
    with traced_memory() as memory:
        for _ in range(500):
            assert list(cutter.add(splitter.feed(b'{"case_Key": 1},' + b" " * (64 << 10)))) == []
    assert cutter.total >= 499
    assert memory.left < 4 << 20


def test_text_that_is_no_utf_8_is_refused_also_in_a_run() -> None:
    body = json.dumps([{"case_Key": 1, "notes": "x"}] * 50).encode().replace(b'"x"', b'"\xff"', 1)
    with pytest.raises(BatchRefused, match="UTF-8"):
        cut(body, ChunkLimits(10, 1 << 20, 1 << 18), 100, 50)


def test_a_run_that_nothing_follows_is_a_chunk_with_its_keys() -> None:
    cutter = Chunker(ChunkLimits(9, 400, 200))
    assert list(cutter.add(ItemRun.of(b'[{"case_Key":7},{"case_Key":9}]'))) == []
    (chunk,) = cutter.finish()
    assert (chunk.first, json.loads(chunk.items)) == (0, [{"case_Key": 7}, {"case_Key": 9}])
    assert list(chunk.keys or ()) == [7, 9]


def test_a_run_is_the_sequence_of_its_items() -> None:
    run = ItemRun.of(b'[{"case_Key":7}, {"case_Key":9}]')
    items = [b'{"case_Key":7}', b'{"case_Key":9}']
    assert [bytes(item) for item in run] == items
    assert (bytes(run[-1]), [bytes(item) for item in run[1:]]) == (items[1], items[1:])
