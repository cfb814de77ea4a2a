"""A body's form: marks, blanks and line ends are no fault; a body that is no batch is refused as what it is."""

import gzip
import json
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_batch, a_case, items_of
from tests.unit.bodies import CASES, ENCODERS, MARK, NOTHING, refusal

from carecase_worker.batches.body import Body
from carecase_worker.batches.decoding import Decoder
from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.splitting import ArraySplitter, Splitter
from carecase_worker.errors import BatchFault
from carecase_worker.files.media_types import BodyFormat, MediaType

BLANKS = st.text(" \t\r\n", max_size=4).map(str.encode)
BETWEEN = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r\n \t\r\n", b"\n" + MARK, b"\n" + MARK + b"\r\n"])


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
def test_an_encoding_other_than_utf_8_is_refused_by_its_name(
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
def test_a_compressed_body_that_is_not_called_so_is_refused_as_that(
    sent: bytes, what: str, splitter: Callable[[], Splitter]
) -> None:
    refused = refusal(splitter(), sent)
    assert refused == (BatchFault.NOT_JSON, f"The body is compressed, but no header says so. Send {what}.")


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
def test_a_body_that_is_another_value_is_refused_as_what_it_is(body: bytes, kind: str) -> None:
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
def test_lines_that_are_called_an_array_are_refused_as_lines(body: bytes) -> None:
    assert refusal(ArraySplitter(), body) == (
        BatchFault.NOT_AN_ARRAY,
        "The body has several JSON values one after the other, and is not an array. Send an array, or send one CareCase"
        " a line as Content-Type: application/x-ndjson.",
    )


def test_an_array_that_is_called_lines_is_refused_as_an_array() -> None:
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


def test_an_object_around_the_cases_is_refused_as_that() -> None:
    for body in (b'{"cases": [{"case_Key": 1}]}', b'{"cases": []}\r\n', b"{}", b'\n{"CASE_KEY": 1}'):
        assert refusal(LineSplitter(), body) == (
            BatchFault.NOT_LINES,
            "The body is an object, but not a CareCase: it has none of its fields. Send one CareCase a line, or an"
            " array of them as Content-Type: application/json, with nothing around it.",
        )
