"""A body into items, items into chunks, chunks into payloads and back: nothing is lost, added or moved."""

import json
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import NOW, chunks_of, items_of
from tests.traced_memory import traced_memory
from tests.unit.bodies import require_split_as_json, spoilt

from carecase_worker.batches.chunking import Chunk, Chunker, ChunkLimits
from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.payloads import ChunkOutcomes, pack, pack_done, unpack, unpack_done
from carecase_worker.batches.splitting import ArraySplitter
from carecase_worker.cases.outcomes import CREATED, Kind, Outcome
from carecase_worker.cases.validation import Rules, invalid, keys_of, validate
from carecase_worker.errors import BatchFault, BatchRefused, PayloadUnreadable

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
BOUNDS = ChunkLimits(items=3, size=200, item_size=100)


@given(st.lists(JSON, min_size=1, max_size=30))
def test_chunks_have_the_items_in_order(items: list[Any]) -> None:
    chunks = [unpack(pack(chunk)) for chunk in chunks_of(json.dumps(items).encode(), BOUNDS)]
    assert [chunk.first for chunk in chunks] == [sum(c.count for c in chunks[:n]) for n in range(len(chunks))]
    held = [item for chunk in chunks for item in json.loads(chunk.items)]
    oversized = {chunk.first + place for chunk in chunks for place in chunk.refused}
    assert oversized == {n for n, item in enumerate(items) if len(json.dumps(item).encode()) > BOUNDS.item_size}
    assert [item for n, item in enumerate(held) if n not in oversized] == [
        item for n, item in enumerate(items) if n not in oversized
    ]
    assert all(chunk.count <= BOUNDS.items for chunk in chunks)


LAYOUTS = st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}, {"separators": (" ,", ":")}])
TRICKY = st.sampled_from(['"},{"', "},{", "\\", '\\"},', ",", "]", "],[", "}, {"])
"""Strings that look like the border between two items."""
ITEMS = st.lists(JSON | st.dictionaries(TRICKY, TRICKY | st.lists(st.dictionaries(TRICKY, TRICKY))), min_size=1)


@settings(max_examples=120)
@given(items=ITEMS, layout=LAYOUTS, piece_bytes=st.integers(1, 40), window_bytes=st.integers(1, 60))
def test_an_array_is_split_the_same_however_it_comes_in(
    items: list[Any], layout: dict[str, Any], piece_bytes: int, window_bytes: int
) -> None:
    body = json.dumps(items, **layout).encode()
    assert [json.loads(bytes(raw)) for raw in items_of(body, ArraySplitter(window_bytes), piece_bytes)] == items


@settings(max_examples=120)
@given(items=ITEMS, place=st.floats(0, 1), junk=st.sampled_from([b"", b",", b"}", b"]", b'"', b"x", b"[", b"{"]))
def test_what_is_no_json_array_is_refused_however_it_comes_in(items: list[Any], place: float, junk: bytes) -> None:
    require_split_as_json(spoilt(items, place, junk))


@given(st.lists(JSON, min_size=2), st.integers(1, 40))
def test_lines_are_the_items_in_order(items: list[Any], piece_bytes: int) -> None:
    body = "\r\n".join(json.dumps(item) for item in items).encode()
    assert [json.loads(bytes(raw)) for raw in items_of(body, LineSplitter(), piece_bytes)] == items


@pytest.mark.parametrize("body", [b'{"a":1\n"b":2}\n{},{}', b"{},{}", b"1\n2,\n3", b"[1\n2]", b"{}\n{"])
def test_a_line_is_one_item(body: bytes) -> None:
    with pytest.raises(BatchRefused, match="line"):
        items_of(body, LineSplitter())


@pytest.mark.parametrize("body", [b"[1]", b"[]", b"[1,]"])
def test_blanks_after_the_array_are_dropped_as_they_come(body: bytes) -> None:
    def items_or_fault(blanks: int) -> object:
        splitter = ArraySplitter()
        try:
            items = [bytes(item) for item in items_of(body + b" " * blanks, splitter)]
        except BatchRefused as refused:
            return refused.fault
        assert splitter.buffered_bytes < 1 << 20
        return items

    assert items_or_fault(64 << 20) == items_or_fault(0)


@pytest.mark.parametrize("before", [b"", b"[", b"[1", b"[1,"])
def test_blanks_before_the_array_an_item_or_its_comma_are_dropped_as_they_come(before: bytes) -> None:
    splitter = ArraySplitter(100)
    splitter.feed(before)
    for _ in range(100):
        splitter.feed(b" " * 1_000)
        assert splitter.buffered_bytes < 2_000


@pytest.mark.parametrize("rest", [b"2]", b"e3]", b".5]"])
def test_a_number_is_not_joined_to_what_comes_after_blanks(rest: bytes) -> None:
    with pytest.raises(BatchRefused) as refused:
        items_of(b"[1" + b" " * 998 + rest, ArraySplitter(100), 100)  # it comes alone
    assert refused.value.fault is BatchFault.NOT_JSON


def test_items_do_not_keep_the_blanks_between_them_in_memory() -> None:
    splitter, piece = ArraySplitter(), b'{"case_Key": 1},' + b" " * (1 << 20)
    splitter.feed(b"[")
    with traced_memory() as memory:
        items = [item for _ in range(40) for item in splitter.feed(piece)]
    assert len(items) >= 39
    assert memory.left < 8 << 20


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        (r'"\ud800"', r'"\u0000"'),
        (r'"\udfff x"', r'"\u0000 x"'),
        (r'"\ud800\ud800\udc00"', r'"\u0000\ud800\udc00"'),
        (r'"\ud83d\ude00 \udc00"', r'"\ud83d\ude00 \u0000"'),
        (r'"\\ud800"', r'"\\ud800"'),
        (r'"\\\ud800"', r'"\\\u0000"'),
        (r'"\\ud83d\ude00"', r'"\\ud83d\u0000"'),
    ],
)
def test_a_lone_surrogate_is_the_fault_of_its_item(text: str, repaired: str) -> None:
    for body, splitter in ((f"[{text}, 1]", ArraySplitter()), (f"{text}\n1", LineSplitter())):
        assert [bytes(raw).decode() for raw in items_of(body.encode(), splitter)] == [repaired, "1"]


def test_deep_items_are_kept_as_they_are() -> None:
    items = ["[" * depth + "]" * depth for depth in (1, 100, 900)]
    (chunk,) = chunks_of(f"[{','.join(items)}]".encode())
    assert (chunk.items, chunk.refused) == (f"[{','.join(items)}]".encode(), {})


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"[1,]", BatchFault.NOT_JSON),
        (b"[" * 5000 + b"]" * 5000, BatchFault.NOT_JSON),
        (b'["\xff"]', BatchFault.NOT_JSON),
        (b"null", BatchFault.NOT_AN_ARRAY),
        (b" [ ] ", BatchFault.EMPTY),
    ],
)
def test_a_body_that_is_no_batch_is_refused(body: bytes, fault: BatchFault) -> None:
    with pytest.raises(BatchRefused) as refused:
        chunks_of(body, BOUNDS)
    assert refused.value.fault is fault


LATIN = "Größe".encode("latin-1")
NOT_UTF8 = "The body is not UTF-8 (in item {} or one of the next). Send JSON in UTF-8."


@pytest.mark.parametrize(
    "item",
    [
        b'{"case_ID": "%b"}',
        b'{"%b": 1}',
        b'{"case_Key": 5, "%b": 1}',
        b'{"case_Key": "x", "%b": 1}',
        b'{"case_Key": "x", "case_Key": 5, "%b": 1}',
        b'"%b"',
        b'{"case_ID": {"%b": []}}',
    ],
)
def test_a_body_that_is_not_utf_8_is_refused_wherever_that_stands(item: bytes) -> None:
    """In values and in names, for which the parser has another error."""
    item %= LATIN
    for before in (b"", b"{},", b"{}," * 7):
        with pytest.raises(BatchRefused) as refused:
            chunks_of(b"[%b%b]" % (before, item), BOUNDS)
        first = before.count(b",") // BOUNDS.items * BOUNDS.items
        assert (refused.value.fault, str(refused.value)) == (BatchFault.NOT_JSON, NOT_UTF8.format(first))
    for lines in (item, item + b"\n", b"\n%b\n{}" % item):
        with pytest.raises(BatchRefused) as refused:
            chunks_of(lines, BOUNDS, LineSplitter())
        assert (refused.value.fault, str(refused.value)) == (BatchFault.NOT_JSON, NOT_UTF8.format(0))


LONG = f'"x": "{"y" * 200}"'


@pytest.mark.parametrize(
    ("item", "key"),
    [
        (f'{{"case_Key": 37, {LONG}}}', 37),
        (f'{{{LONG}, "case_Key": -2147483648, "carePlan_Key": 5, "do_Not_Contact": false}}', -(2**31)),
        (f'{{"case_Key": "x", {LONG}, "case_Key": 38}}', 38),
        (f'{{"case_Key": 37, "case_Key": "x", {LONG}}}', None),
        (f'{{"case_Key": "37", {LONG}}}', None),
        (f'{{"case_Key": 2147483648, {LONG}}}', None),
        (f'{{"case_Key": 37.5, {LONG}}}', None),
        (f'{{"case_Key": null, {LONG}}}', None),
        (f"{{{LONG}}}", None),
        (f'[{{"case_Key": 37, {LONG}}}]', None),
        ("1" * 200, None),
        (f'{{"case_Key": 37, "Gr\udcf6\udcdfe": 1, {LONG}}}', 37),
        (f'{{"Gr\udcf6\udcdfe": 1, {LONG}}}', None),
        (f'{{"case_Key": "x", "Gr\udcf6\udcdfe": 1, "case_Key": 37, {LONG}}}', None),
    ],
)
def test_an_item_that_is_too_large_keeps_its_key_and_nothing_else(item: str, key: int | None) -> None:
    body = f'[{{"case_Key": 1}}, {item}]'.encode(errors="surrogateescape")
    (chunk,) = [unpack(pack(chunk)) for chunk in chunks_of(body, BOUNDS)]
    assert keys_of(chunk.items) == [1, key]
    assert b"yy" not in chunk.items
    rules = Rules(None, "user", NOW)
    assert validate(chunk.items, rules, chunk.refused)[1] == invalid("item: must have at most 100 bytes")
    assert isinstance(validate(chunk.items, rules)[1], Outcome), "what is kept of it is no case, whoever reads it"


@pytest.mark.parametrize(
    ("beginning", "key"),
    [
        ('{"case_Key": 37, ', 37),
        ('{"a": "\\"},{", "b": 1.5, "c": null , "case_Key" : -2147483648 , ', -(2**31)),
        ('{"case_Key": 2147483648, ', None),
        ('{"case_Key": "37", ', None),
        ('{"a": "case_Key", "b": {"case_Key": 37}, ', None),
        ("[37, ", None),
        ("37", None),
        ("{", None),
    ],
)
def test_of_an_item_that_is_not_kept_as_a_whole_the_beginning_has_the_key(beginning: str, key: int | None) -> None:
    body = f'[{{"case_Key": 1}}, {beginning}"x": "{"y" * 5000}", "case_Key": 38}}, 2]'
    if beginning == "37":
        body = f'[{{"case_Key": 1}}, {"3" * 5000}, 2]'
    elif beginning.startswith("["):
        body = f'[{{"case_Key": 1}}, {beginning}"{"y" * 5000}"], 2]'
    for splitter, text in (
        (ArraySplitter(20, BOUNDS.item_size), body),
        (LineSplitter(BOUNDS.item_size), body[1:-1].replace("}, ", "}\n", 1).rpartition(", ")[0] + "\n2"),
    ):
        cutter = Chunker(BOUNDS)
        (chunk,) = [*cutter.add(items_of(text.encode(), splitter, 50)), *cutter.finish()]
        assert keys_of(chunk.items) == [1, key, None]
        assert (b"yy" in chunk.items, b"33" in chunk.items) == (False, False)
        assert list(chunk.refused) == [1]


def test_a_payload_of_the_first_form_is_read_for_ever() -> None:
    recorded = bytes.fromhex(
        "012e00000083a56669727374cd07d0a5636f756e7402a7726566757365648101b26974656d3a20697320746f6f206c617267"
        "6528b52ffd2015a900005b7b22636173655f4b6579223a317d2c6e756c6c5d"
    )
    assert unpack(recorded) == Chunk(2000, 2, b'[{"case_Key":1},null]', {1: "item: is too large"})


def test_a_result_of_the_first_form_is_read_for_ever() -> None:
    recorded = bytes.fromhex(
        "28b52ffd204b2d0200e40382a46b657973c410070080a86f7574636f6d6573c42882a472756e7392920101920401a57465787473"
        "8101b26974656d3a20697320746f6f206c617267650100074002"
    )
    assert unpack_done(recorded) == ChunkOutcomes([7, None], [CREATED, invalid("item: is too large")])


@given(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=20))
def test_keys_come_back_as_they_were_packed(keys: list[int | None]) -> None:
    done = ChunkOutcomes(keys, [CREATED] * len(keys))
    assert unpack_done(pack_done(done)) == done


def test_the_lines_of_rows_come_back_as_they_were_packed() -> None:
    lines = ((0, 2), (2, 7))
    chunk = Chunk(0, 3, b'[{"case_Key":1},1,2]', lines=lines)
    assert unpack(pack(chunk)) == chunk
    done = ChunkOutcomes([1, None, None], [CREATED] * 3, lines)
    assert unpack_done(pack_done(done)) == done


def test_a_result_of_a_newer_form_is_unreadable_and_no_fault_of_ours() -> None:
    done = pack_done(ChunkOutcomes([7], [CREATED]))
    plain, run = zstandard.decompress(done), b"\x92\x01\x01"
    assert run in plain, "one item of kind 1"
    other = [plain.replace(run, b"\x92%c\x01" % kind) for kind in (Kind.INVALID.value, 127)] + [b"\x7f" + plain]
    for packed in (b"", done[:-1], b"\x7f" + done, *map(zstandard.compress, other)):
        with pytest.raises(PayloadUnreadable, match="does not know"):
            unpack_done(packed)


@pytest.mark.parametrize("size", [1, 4, 8, 20, 40])
def test_a_damaged_payload_is_unreadable_and_no_fault_of_ours(size: int) -> None:
    with pytest.raises(PayloadUnreadable, match="damaged"):
        unpack(pack(Chunk(0, 1, b'[{"case_Key": 1}]'))[:size])


def test_a_newer_payload_is_refused_with_what_to_do() -> None:
    with pytest.raises(PayloadUnreadable, match="upgrade"):
        unpack(b"\x7f" + pack(Chunk(0, 1, b"[1]"))[1:])
