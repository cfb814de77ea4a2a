"""A body's form: marks, blanks and line ends are no fault; a body that is no batch is told as what it is."""

import gzip
import json
import re
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_batch, a_case, items_of

from carecase_worker.batches.body import Body
from carecase_worker.batches.decoding import Decoder
from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.splitting import ArraySplitter, Splitter
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.files.media_types import BodyFormat, MediaType

MARK = b"\xef\xbb\xbf"
ENCODERS: dict[str | None, Callable[[bytes], bytes]] = {None: bytes, "gzip": gzip.compress, "zstd": zstandard.compress}
CASES = [a_case(1, case_ID="Ünï\u2028x"), a_case(2, case_ID="a\\r\\nb"), a_case(3)]
BLANKS = st.text(" \t\r\n", max_size=4).map(str.encode)
BETWEEN = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r\n \t\r\n", b"\n" + MARK, b"\n" + MARK + b"\r\n"])


def array(text: bytes) -> list[bytes]:
    return [bytes(item) for item in items_of(text, ArraySplitter())]


def lines(text: bytes) -> list[bytes]:
    return [bytes(item) for item in items_of(text, LineSplitter())]


def refusal(splitter: Splitter, body: bytes, piece_bytes: int = 1 << 20) -> tuple[BatchFault, str]:
    """The fault of a body that comes in pieces, and what its sender is told."""
    with pytest.raises(BatchRefused) as refused:
        items_of(body, splitter, piece_bytes)
    return refused.value.fault, str(refused.value)


@pytest.mark.parametrize("encoding", ENCODERS)
@given(mark=st.sampled_from([b"", MARK]), before=BLANKS, between=BETWEEN, after=BLANKS, piece_bytes=st.integers(1, 60))
def test_marks_blanks_and_line_ends_are_no_fault(
    encoding: str | None, mark: bytes, before: bytes, between: bytes, after: bytes, piece_bytes: int
) -> None:
    written = [json.dumps(case, ensure_ascii=False).encode() for case in CASES]
    for form, splitter, text in (
        (BodyFormat.ARRAY, ArraySplitter(20), before + b"[" + b",\r\n".join(written) + b"]" + after),
        (BodyFormat.LINES, LineSplitter(), before + between.join(written) + after),
    ):
        plain = mark + text
        split = items_of(plain, splitter, piece_bytes)
        assert [json.loads(bytes(item)) for item in split] == CASES
        body, sent = Body(Decoder(encoding), MediaType(form).splitter(None), 1 << 20), ENCODERS[encoding](plain)
        pieces = [sent[start : start + piece_bytes] for start in range(0, len(sent), piece_bytes)]
        taken = [item for piece in pieces for some in body.take(piece) for item in some]
        taken += [item for some in body.finish() for item in some]
        assert [json.loads(bytes(item)) for item in taken] == CASES


@pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("splitter", [ArraySplitter, LineSplitter])
def test_an_encoding_other_than_utf_8_is_told_by_its_name(
    name: str, mark: str, splitter: Callable[[], Splitter]
) -> None:
    text = json.dumps(CASES) if splitter is ArraySplitter else "\n".join(map(json.dumps, CASES))
    sent = (mark + text).encode(name) if "-le" in name or "-be" in name else text.encode(name)
    assert refusal(splitter(), sent) == (
        BatchFault.NOT_JSON,
        "The body is UTF-16 or UTF-32, not UTF-8. Save the file as UTF-8, and send that.",
    )


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (gzip.compress(b"[]"), "the header Content-Encoding: gzip with it"),
        (zstandard.compress(b"[]"), "the header Content-Encoding: zstd with it"),
        (b"PK\x03\x04\x14\x00", "the file that is in the archive"),
    ],
)
@pytest.mark.parametrize("splitter", [ArraySplitter, LineSplitter])
def test_a_compressed_body_that_is_not_called_so_is_told_as_that(
    sent: bytes, what: str, splitter: Callable[[], Splitter]
) -> None:
    refused = refusal(splitter(), sent)
    assert refused == (BatchFault.NOT_JSON, f"The body is compressed, but no header says so. Send {what}.")


NOTHING = (BatchFault.EMPTY, "The batch is empty. Send at least one CareCase.")


@pytest.mark.parametrize("body", [b"", MARK, MARK + b"\r\n", b"\n\n", b" \t"])
def test_a_body_of_nothing_but_mark_and_blanks_is_empty(body: bytes) -> None:
    assert refusal(ArraySplitter(), body) == refusal(LineSplitter(), body) == NOTHING


@pytest.mark.parametrize("body", [b"[]", MARK + b" [\r\n\t]", b"[ ] \n", b"[" + b" " * 1000 + b"]"])
@pytest.mark.parametrize("window_bytes", [1, 1 << 20])
def test_an_array_without_items_is_empty(body: bytes, window_bytes: int) -> None:
    assert refusal(ArraySplitter(window_bytes), body) == NOTHING


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"cases": [{"case_Key": 1}]}', "an object"),
        (b'{\n "cases": [\n{"case_Key": 1}]\n}\n', "an object"),
        (json.dumps(a_case(1)).encode(), "an object"),
        (MARK + b" {}", "an object"),
        (b'{"case_ID": "' + b"x" * (2 << 20) + b'"}', "an object"),
        (b'"[1]"', "a string"),
        (b"-12.5", "a number"),
        (b"0", "a number"),
        (b"null", "null"),
        (b"\r\n\ttrue ", "true"),
        (b"false", "false"),
    ],
)
def test_a_body_that_is_another_value_is_told_as_what_it_is(body: bytes, kind: str) -> None:
    assert refusal(ArraySplitter(), body) == (
        BatchFault.NOT_AN_ARRAY,
        f"The body is {kind}, not an array. Send an array of CareCase objects, with nothing around it.",
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"case_Key": 1}\n{"case_Key": 2}\n',
        MARK + b'{"case_Key": 1}\r\n\r\n{"case_Key": 2}',
        b'{"case_Key": 1}{"case_Key": 2}',
        b"{}[]",
        b'{"a": 1}\n' * (1 << 18),
    ],
)
def test_lines_that_are_called_an_array_are_told_as_lines(body: bytes) -> None:
    assert refusal(ArraySplitter(), body) == (
        BatchFault.NOT_AN_ARRAY,
        "The body has several JSON values one after the other, and is not an array. Send an array, or send one CareCase"
        " a line as Content-Type: application/x-ndjson.",
    )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"{}, {}", "JSON is malformed: trailing characters (byte 3)"),
        (b'{} "a"', "JSON is malformed: trailing characters (byte 4)"),
        (b'{"case_Key": 1', "Input data was truncated"),
        (b"case_Key,case_ID\n1,x\n", "JSON is malformed: invalid character (byte 0)"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "it is nested too deeply"),
        (b"[" * 400_000 + b"]" * 400_000, "it is nested too deeply"),  # and larger than an item may be
        (b"[1,2", "Input data was truncated"),
        (b"[,1]", "JSON is malformed: invalid character (byte 1)"),
        (b"[1,]", "JSON is malformed: trailing comma in array (byte 3)"),
        (b"[1,\n\n]", "JSON is malformed: trailing comma in array (byte 5)"),
        (b"[1][2]", "something follows the array at byte 3"),
        (b"[1]\n[2]\n", "something follows the array at byte 4"),
        (MARK + b" [1,2] \nx", "something follows the array at byte 11"),
    ],
)
def test_a_body_that_is_no_json_is_told_with_the_place(body: bytes, what: str) -> None:
    assert refusal(ArraySplitter(), body) == (
        BatchFault.NOT_JSON,
        f"The body is not JSON ({what}). Send an array of CareCase objects, in UTF-8.",
    )


LONG = b'{"case_ID": "' + b"x" * 1000 + b'"}'


@pytest.mark.parametrize(
    ("tail", "told"),
    [
        (b",]", r"it ends with a comma|JSON is malformed: trailing comma in array \(byte {1}\)"),
        (b",\n\n]", r"it ends with a comma|JSON is malformed: trailing comma in array \(byte {3}\)"),
        (b",{},x]", r"JSON is malformed: invalid character \(byte {4}\)"),
        (b',{"a"::1}]', r"JSON is malformed: invalid character \(byte {6}\)"),
        (b"]x", "something follows the array at byte {1}"),
        (b"] \n[1]", "something follows the array at byte {3}"),
        (b"", "Input data was truncated"),
        (b",", "Input data was truncated"),
        (b",{", "Input data was truncated"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 7, 500, 1 << 20])
def test_the_place_of_a_fault_is_counted_from_the_beginning_of_the_body(
    tail: bytes, told: str, piece_bytes: int
) -> None:
    """Wherever the cuts are, by which the body comes in and by which items are taken off it."""
    before = MARK + b" [" + b", ".join([LONG] * 5)
    fault, text = refusal(ArraySplitter(100), before + tail, piece_bytes)
    want = re.sub("{(.)}", lambda at: str(len(before) + int(at[1])), told)
    assert fault is BatchFault.NOT_JSON
    assert re.fullmatch(rf"The body is not JSON \(({want})\)\. Send an array of CareCase objects, in UTF-8\.", text)


@pytest.mark.parametrize("window_bytes", [1, 20, 1 << 20])
def test_a_comma_before_the_bracket_is_told(window_bytes: int) -> None:
    for body in (b"[{},]", b"[{}, {} , ]", b"[1,2,]"):
        fault, told = refusal(ArraySplitter(window_bytes), body, 1)
        assert fault is BatchFault.NOT_JSON
        assert re.search(r"\((it ends with a comma|JSON is malformed: trailing comma in array \(byte \d+\))\)", told)


def test_an_array_that_is_called_lines_is_told_as_an_array() -> None:
    for body in (
        a_batch(*CASES),
        json.dumps(CASES, indent=1).encode(),
        b"[{},\r\n{}]",
        b"[1]",
        MARK + b"\n [\n{}]",
        b"[" * 100_000,
        b"[" + b"1," * (10 << 20) + b"1]",
    ):
        assert refusal(LineSplitter(), body) == (
            BatchFault.NOT_LINES,
            "The body is an array, not one CareCase a line. Send it as Content-Type: application/json.",
        )


def test_an_object_around_the_cases_is_told_as_that() -> None:
    for body in (b'{"cases": [{"case_Key": 1}]}', b'{"cases": []}\r\n', b"{}", b'\n{"CASE_KEY": 1}'):
        assert refusal(LineSplitter(), body) == (
            BatchFault.NOT_LINES,
            "The body is an object, but not a CareCase: it has none of its fields. Send one CareCase a line, or an"
            " array of them as Content-Type: application/json, with nothing around it.",
        )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (json.dumps({"cases": CASES}, indent=1).encode(), "line 1: Input data was truncated"),
        (b'{"case_Key": 1}\r{"case_Key": 2}', "line 1: JSON is malformed: trailing characters (byte 17)"),
        (b"{}\n{},\n", "line 2: JSON is malformed: trailing characters (byte 3)"),
        (b'\n\n{}\n{"a": 1}\n\n{"a"\n{}', "line 6: Input data was truncated"),
        (b"{}\n" + b"[" * 100_000, "line 2 is nested too deeply"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 5, 1 << 20])
def test_a_line_that_is_no_json_is_told_by_its_number(body: bytes, what: str, piece_bytes: int) -> None:
    assert refusal(LineSplitter(), body, piece_bytes) == (
        BatchFault.NOT_JSON,
        f"The body is not JSON ({what}). Send one CareCase object a line, each line ended by a line feed, in UTF-8.",
    )


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


@pytest.mark.parametrize("piece_bytes", [7, 1 << 20])
@pytest.mark.parametrize("item", [b"1" * 5 * ITEM, b'{"x": "%b"}' % (b"y" * 5 * ITEM)])
def test_what_follows_an_item_that_is_too_large_is_another_or_the_end(item: bytes, piece_bytes: int) -> None:
    assert refusal(ArraySplitter(50, ITEM), b"[%b}, 2]" % item, piece_bytes) == (
        BatchFault.NOT_JSON,
        f"The body is not JSON (JSON is malformed: expected ',' or ']' (byte {1 + len(item)}))."
        " Send an array of CareCase objects, in UTF-8.",
    )


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
        with pytest.raises(BatchRefused) as told:
            items_of(body, splitter)
        assert (told.value.fault, str(told.value)) == (BatchFault.TOO_LARGE, refused)


@pytest.mark.parametrize("body", [b'{"case_Key": 1}', b'{"case_ID": []}', b"5", b"[1]\n{}", b"{}\n{}"])
def test_a_line_is_an_item_whatever_is_wrong_with_it(body: bytes) -> None:
    assert lines(body) == body.split(b"\n")


@pytest.mark.parametrize("blank", [b"\x0b", b"\x0c", b"\x85", b"\xc2\xa0"])
def test_what_json_takes_for_no_blank_is_refused_whatever_its_neighbours_are(blank: bytes) -> None:
    for body in (b"{}%b\n{}" % blank, b"{}%b\n%b{}" % (blank, MARK)):
        with pytest.raises(BatchRefused, match="line 1"):
            lines(body)
