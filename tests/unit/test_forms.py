"""A body's form: marks, blanks and line ends are no fault; a body that is no batch is told as what it is."""

import gzip
import json
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_batch, a_case, items_of

from carecase_worker.cases.batch import ArraySplitter, Splitter
from carecase_worker.cases.lines import LineSplitter
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.intake.body import Body, Decoder, Form

MARK = b"\xef\xbb\xbf"
ENCODERS: dict[str | None, Callable[[bytes], bytes]] = {None: bytes, "gzip": gzip.compress, "zstd": zstandard.compress}
CASES = [a_case(1, case_ID="Ünï\u2028x"), a_case(2, case_ID="a\\r\\nb"), a_case(3)]
BLANKS = st.text(" \t\r\n", max_size=4).map(str.encode)
BETWEEN = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r\n \t\r\n", b"\n" + MARK, b"\n" + MARK + b"\r\n"])


def array(text: bytes) -> list[bytes]:
    return [bytes(item) for item in items_of(text, ArraySplitter())]


def lines(text: bytes) -> list[bytes]:
    return [bytes(item) for item in items_of(text, LineSplitter())]


@pytest.mark.parametrize("encoding", ENCODERS)
@given(mark=st.sampled_from([b"", MARK]), before=BLANKS, between=BETWEEN, after=BLANKS, piece_bytes=st.integers(1, 60))
def test_marks_blanks_and_line_ends_are_no_fault(
    encoding: str | None, mark: bytes, before: bytes, between: bytes, after: bytes, piece_bytes: int
) -> None:
    written = [json.dumps(case, ensure_ascii=False).encode() for case in CASES]
    for form, splitter, text in (
        (Form.ARRAY, ArraySplitter(20), before + b"[" + b",\r\n".join(written) + b"]" + after),
        (Form.LINES, LineSplitter(), before + between.join(written) + after),
    ):
        plain = mark + text
        split = items_of(plain, splitter, piece_bytes)
        assert [json.loads(bytes(item)) for item in split] == CASES
        body, sent = Body(Decoder(encoding), form, 1 << 20), ENCODERS[encoding](plain)
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
    with pytest.raises(BatchRefused, match="UTF-16 or UTF-32, not UTF-8") as refused:
        items_of(sent, splitter())
    assert refused.value.fault is BatchFault.NOT_JSON


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (gzip.compress(b"[]"), "Content-Encoding: gzip"),
        (zstandard.compress(b"[]"), "Content-Encoding: zstd"),
        (b"PK\x03\x04\x14\x00", "the file that is in the archive"),
    ],
)
@pytest.mark.parametrize("splitter", [ArraySplitter, LineSplitter])
def test_a_compressed_body_that_is_not_called_so_is_told_as_that(
    sent: bytes, what: str, splitter: Callable[[], Splitter]
) -> None:
    with pytest.raises(BatchRefused, match=what):
        items_of(sent, splitter())


@pytest.mark.parametrize("body", [b"", MARK, MARK + b"\r\n", b"\n\n", b" \t"])
def test_a_body_of_nothing_but_mark_and_blanks_is_empty(body: bytes) -> None:
    for split in (array, lines):
        with pytest.raises(BatchRefused) as refused:
            split(body)
        assert refused.value.fault is BatchFault.EMPTY


@pytest.mark.parametrize(
    ("body", "fault", "words"),
    [
        (b'{"cases": [{"case_Key": 1}]}', BatchFault.NOT_AN_ARRAY, "an object, not an array"),
        (b'{\n "cases": [\n{"case_Key": 1}]\n}\n', BatchFault.NOT_AN_ARRAY, "an object, not an array"),
        (json.dumps(a_case(1)).encode(), BatchFault.NOT_AN_ARRAY, "an object, not an array"),
        (MARK + b" {}", BatchFault.NOT_AN_ARRAY, "an object, not an array"),
        (b'"[1]"', BatchFault.NOT_AN_ARRAY, "a string, not an array"),
        (b"-12.5", BatchFault.NOT_AN_ARRAY, "a number, not an array"),
        (b"null", BatchFault.NOT_AN_ARRAY, "null, not an array"),
        (b"true", BatchFault.NOT_AN_ARRAY, "true, not an array"),
        (b'{"case_Key": 1}\n{"case_Key": 2}\n', BatchFault.NOT_AN_ARRAY, "application/x-ndjson"),
        (MARK + b'{"case_Key": 1}\r\n\r\n{"case_Key": 2}', BatchFault.NOT_AN_ARRAY, "application/x-ndjson"),
        (b'{"case_Key": 1}{"case_Key": 2}', BatchFault.NOT_AN_ARRAY, "application/x-ndjson"),
        (b'{"case_ID": "' + b"x" * (2 << 20) + b'"}', BatchFault.NOT_AN_ARRAY, "an object, not an array"),
        (b'{"a": 1}\n' * (1 << 18), BatchFault.NOT_AN_ARRAY, "application/x-ndjson"),
        (b"{}, {}", BatchFault.NOT_JSON, "byte 3"),
        (b'{"case_Key": 1', BatchFault.NOT_JSON, "truncated"),
        (b"case_Key,case_ID\n1,x\n", BatchFault.NOT_JSON, "an array of CareCase objects"),
        (b"[1][2]", BatchFault.NOT_JSON, "follows the array"),
        (b"[1]\n[2]\n", BatchFault.NOT_JSON, "follows the array"),
    ],
)
def test_a_body_that_is_no_array_is_told_as_what_it_is(body: bytes, fault: BatchFault, words: str) -> None:
    with pytest.raises(BatchRefused, match=words) as refused:
        array(body)
    assert refused.value.fault is fault


@pytest.mark.parametrize(
    ("body", "fault", "words"),
    [
        (a_batch(*CASES), BatchFault.NOT_LINES, "application/json"),
        (json.dumps(CASES, indent=1).encode(), BatchFault.NOT_LINES, "application/json"),
        (b"[{},\r\n{}]", BatchFault.NOT_LINES, "application/json"),
        (MARK + b"\n [\n{}]", BatchFault.NOT_LINES, "application/json"),
        (b"[" + b"1," * (10 << 20) + b"1]", BatchFault.NOT_LINES, "application/json"),
        (b'{"cases": [{"case_Key": 1}]}', BatchFault.NOT_LINES, "an object that is no CareCase"),
        (b'{"cases": []}\r\n', BatchFault.NOT_LINES, "application/json"),
        (json.dumps({"cases": CASES}, indent=1).encode(), BatchFault.NOT_JSON, "line 1: .* one CareCase object a line"),
        (b'{"case_Key": 1}\r{"case_Key": 2}', BatchFault.NOT_JSON, "ended by a line feed"),
        (b"{}\n{},\n", BatchFault.NOT_JSON, "line 2"),
    ],
)
def test_a_body_that_is_no_lines_is_told_as_what_it_is(body: bytes, fault: BatchFault, words: str) -> None:
    with pytest.raises(BatchRefused, match=words) as refused:
        lines(body)
    assert refused.value.fault is fault


@pytest.mark.parametrize("body", [b'{"case_Key": 1}', b'{"case_ID": []}', b"5", b"[1]\n{}", b"{}\n{}"])
def test_a_line_is_an_item_whatever_is_wrong_with_it(body: bytes) -> None:
    assert lines(body) == body.split(b"\n")


@pytest.mark.parametrize("blank", [b"\x0b", b"\x0c", b"\x85", b"\xc2\xa0"])
def test_what_json_takes_for_no_blank_is_refused_whatever_its_neighbours_are(blank: bytes) -> None:
    for body in (b"{}%b\n{}" % blank, b"{}%b\n%b{}" % (blank, MARK)):
        with pytest.raises(BatchRefused, match="line 1"):
            lines(body)
