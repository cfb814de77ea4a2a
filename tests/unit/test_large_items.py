"""Of an item that is too large only the beginning is kept, and what follows it is split as ever."""

from contextlib import suppress

import msgspec
import pytest
from tests.builders import items_of
from tests.unit.bodies import refusal

from carecase_worker.batches.chunking import Chunker, ChunkLimits
from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.splitting import ArraySplitter
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.files.episodes import EpisodeMapping
from carecase_worker.files.media_types import FHIR, media_type_of

ITEM = 1000
"""More than any item may have in these tests; of one with more than twice as much, only the beginning is kept."""


@pytest.mark.parametrize("form", ["array", "lines"])
@pytest.mark.parametrize("piece_bytes", [7, 100, 1 << 20])
@pytest.mark.parametrize("size", [2 * ITEM - 1, 2 * ITEM, 2 * ITEM + 1, 5 * ITEM, 100 * ITEM])
def test_of_an_item_that_is_too_large_only_the_beginning_is_kept(form: str, size: int, piece_bytes: int) -> None:
    beginning = b'{"case_Key": 1, "x": "'
    item = beginning + b"]},{[" * (size // 5) + b"y" * (size - len(beginning) - 2 - size // 5 * 5) + b'"}'
    item = item if len(item) == size else beginning + b"y" * (size - len(beginning) - 2) + b'"}'
    splitter, body = (
        (ArraySplitter(50, ITEM), b'[2, %b, {"a": 3}]') if form == "array" else (LineSplitter(ITEM), b'2\n%b\n{"a": 3}')
    )
    first, large, last = [bytes(one) for one in items_of(body % item, splitter, piece_bytes)]
    assert (first, last) == (b"2", b'{"a": 3}')
    if size <= 2 * ITEM:
        assert large == item
    else:
        assert item.startswith(large)
        assert len(large) > ITEM, "whoever gets it sees that it is too large"
        assert size < 2 * ITEM + 100 + piece_bytes or len(large) == 2 * ITEM


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        ("application/json", b'[{"x":"'),
        ("application/x-ndjson", b'{"x":"'),
        (FHIR, b'{"id":"'),
        ("text/csv", b"case_Key,carePlan_Key,do_Not_Contact,case_ID\n1,5,false,"),
    ],
)
def test_of_an_item_no_more_than_its_bound_is_kept_in_any_format(kind: str, begins: bytes) -> None:
    most = 50 * ITEM
    splitter = media_type_of(kind).splitter(EpisodeMapping() if kind == FHIR else None, most)
    splitter.feed(begins)
    held = [0]
    with suppress(BatchRefused):  # of rows and resources the whole file is refused
        for _ in range(500):
            splitter.feed(b"x" * ITEM)
            held.append(splitter.buffered_bytes)
    assert most < max(held) < 3 * most


@pytest.mark.parametrize("piece_bytes", [7, 1 << 20])
@pytest.mark.parametrize("item", [b"1" * 5 * ITEM, b'{"x": "%b"}' % (b"y" * 5 * ITEM)])
def test_what_follows_an_item_that_is_too_large_is_another_or_the_end(item: bytes, piece_bytes: int) -> None:
    assert refusal(ArraySplitter(50, ITEM), b"[%b}, 2]" % item, piece_bytes) == (
        BatchFault.NOT_JSON,
        f"The body is not JSON (JSON is malformed: expected ',' or ']' (byte {1 + len(item)}))."
        " Send an array of CareCase objects, in UTF-8.",
    )


@pytest.mark.parametrize("piece_bytes", [7, 1 << 20])
@pytest.mark.parametrize("broken", [b'{"x" 1}', b'{"x": 1 "y": 2}', b"{]", b"nul"])
def test_an_item_that_is_no_json_is_not_taken_for_one_that_is_too_large(broken: bytes, piece_bytes: int) -> None:
    """With all that follows it, it is longer than any item may be."""
    body = b"[2, %b, %b]" % (broken, b", ".join([b'{"a": 3}'] * ITEM))
    fault, text = refusal(ArraySplitter(50, ITEM), body, piece_bytes)
    assert (fault, "JSON is malformed" in text) == (BatchFault.NOT_JSON, True)


@pytest.mark.parametrize("piece_bytes", [7, 1 << 20])
@pytest.mark.parametrize("item", [b'"' + b"x" * 5 * ITEM, b'{"x":[' + b"1," * 5 * ITEM])
def test_a_body_that_ends_within_an_item_that_is_too_large_is_refused_as_truncated(
    item: bytes, piece_bytes: int
) -> None:
    assert refusal(ArraySplitter(50, ITEM), b"[1, %b" % item, piece_bytes) == (
        BatchFault.NOT_JSON,
        "The body is not JSON (Input data was truncated). Send an array of CareCase objects, in UTF-8.",
    )


@pytest.mark.parametrize("after", [b"x", b"[2]", b" \n[2]", b"]"])
def test_what_comes_with_the_end_of_a_large_array_is_refused(after: bytes) -> None:
    fault, text = refusal(ArraySplitter(50), b'[{"x": "%b"}]%b' % (b"y" * ITEM, after))
    assert (fault, "something follows the array at byte" in text) == (BatchFault.NOT_JSON, True)


def test_a_body_that_is_no_array_is_refused_before_all_of_it_is_in_memory() -> None:
    splitter = ArraySplitter()
    splitter.feed(b"x" * (1 << 20))
    with pytest.raises(BatchRefused) as refused:
        splitter.feed(b"x")
    assert refused.value.fault is BatchFault.NOT_AN_ARRAY


def test_items_that_are_too_large_may_have_so_many_bytes_together() -> None:
    refused = "The body has items that are too large, together of more than 16 MiB. Send smaller items."
    piece = b"x" * (1 << 20)
    for splitter, begin, end in ((ArraySplitter(), b'["', b'"]'), (LineSplitter(), b'"', b'"\n')):
        splitter.feed(begin)
        for _ in range(15):
            splitter.feed(piece)
        splitter.feed(end)
        splitter.finish()
    for splitter, begin, between in ((ArraySplitter(), b'["', b'",\n"'), (LineSplitter(), b'"', b'"\n"')):
        body = begin + between.join([piece * 6] * 3)
        with pytest.raises(BatchRefused) as raised:
            items_of(body, splitter)
        assert (raised.value.fault, str(raised.value)) == (BatchFault.TOO_LARGE, refused)


@pytest.mark.parametrize("before", [b"", b" \n\t"])
def test_an_array_that_is_sent_as_lines_is_refused_before_all_of_it_is_in_memory(before: bytes) -> None:
    splitter = LineSplitter(ITEM)
    with pytest.raises(BatchRefused) as refused:
        splitter.feed(before + b"[" + b'{"case_Key":1},' * ITEM)
    assert (refused.value.fault, str(refused.value)) == (
        BatchFault.NOT_LINES,
        "The body is an array, not one CareCase a line. Send it as Content-Type: application/json.",
    )


def test_a_line_that_is_too_large_and_nested_too_deeply_costs_the_others_nothing() -> None:
    lines = b"1\n" + b'{"case_Key":2,"x":' + b"[" * 100_000 + b"\n3\n"
    chunker = Chunker(ChunkLimits(items=10, size=10 * ITEM, item_size=ITEM))
    assert not [*chunker.add(items_of(lines, LineSplitter(ITEM), 100))]
    (chunk,) = chunker.finish()
    assert (chunk.items, chunk.refused) == (b"[1,null,3]", {1: f"item: must have at most {ITEM} bytes"})


def test_what_follows_a_long_item_is_split_as_soon_as_what_comes_before_one() -> None:
    splitter, buffered_bytes = ArraySplitter(1_000), []
    body = b'[{"x": "%b"}%b' % (b"y" * 10_000, b', {"case_Key": 1}' * 5_000)
    for start in range(0, len(body), 100):
        splitter.feed(body[start : start + 100])
        buffered_bytes.append(splitter.buffered_bytes)
    assert max(buffered_bytes[len(buffered_bytes) // 2 :]) < 2_000


def test_items_that_wait_for_a_chunk_are_counted_whichever_bound_has_ended_the_last_one() -> None:
    cutter, cut, size = Chunker(ChunkLimits(items=10, size=1_000, item_size=500)), 0, 300
    for count in (5, 1, 2, 7, 1, 1):
        cut += sum(chunk.count for chunk in cutter.add([msgspec.Raw(b'"%b"' % (b"x" * (size - 2)))] * count))
        waiting = cutter.total - cut
        assert cutter.buffered_bytes == 2 * size * waiting
        assert size * waiting < 1_000
