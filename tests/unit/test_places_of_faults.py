"""A body that is no JSON is refused with the place, or the line, of the fault."""

import json
import re

import pytest
from tests.unit.bodies import CASES, MARK, lines, refusal

from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.splitting import ArraySplitter
from carecase_worker.errors import BatchFault, BatchRefused


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
        (b'[{"a":%b}, {"b": 1}, {}]' % (b"[" * 100_000 + b"]" * 100_000), "it is nested too deeply"),
        (b"[1,2", "Input data was truncated"),
        (b"[,1]", "JSON is malformed: invalid character (byte 1)"),
        (b"[1,]", "JSON is malformed: trailing comma in array (byte 3)"),
        (b"[1,\n\n]", "JSON is malformed: trailing comma in array (byte 5)"),
        (b"[1][2]", "something follows the array at byte 3"),
        (b"[1]\n[2]\n", "something follows the array at byte 4"),
        (MARK + b" [1,2] \nx", "something follows the array at byte 11"),
    ],
)
def test_a_body_that_is_no_json_is_refused_with_the_place(body: bytes, what: str) -> None:
    assert refusal(ArraySplitter(), body) == (
        BatchFault.NOT_JSON,
        f"The body is not JSON ({what}). Send an array of CareCase objects, in UTF-8.",
    )


LONG = b'{"case_ID": "' + b"x" * 1000 + b'"}'


@pytest.mark.parametrize(
    ("tail", "expected"),
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
    tail: bytes, expected: str, piece_bytes: int
) -> None:
    """Wherever the cuts are, by which the body comes in and by which items are taken off it."""
    before = MARK + b" [" + b", ".join([LONG] * 5)
    fault, text = refusal(ArraySplitter(100), before + tail, piece_bytes)
    want = re.sub("{(.)}", lambda at: str(len(before) + int(at[1])), expected)
    assert fault is BatchFault.NOT_JSON
    assert re.fullmatch(rf"The body is not JSON \(({want})\)\. Send an array of CareCase objects, in UTF-8\.", text)


@pytest.mark.parametrize("piece_bytes", [7, 500, 1 << 20])
def test_blanks_before_a_comma_count_although_they_are_not_buffered(piece_bytes: int) -> None:
    splitter = ArraySplitter(100)
    assert refusal(splitter, b"[1" + b" " * 3_000 + b",x]", piece_bytes) == (
        BatchFault.NOT_JSON,
        "The body is not JSON (JSON is malformed: invalid character (byte 3003))."
        " Send an array of CareCase objects, in UTF-8.",
    )


@pytest.mark.parametrize("window_bytes", [1, 20, 1 << 20])
def test_a_comma_before_the_bracket_is_named(window_bytes: int) -> None:
    for body in (b"[{},]", b"[{}, {} , ]", b"[1,2,]"):
        fault, text = refusal(ArraySplitter(window_bytes), body, 1)
        assert fault is BatchFault.NOT_JSON
        assert re.search(r"\((it ends with a comma|JSON is malformed: trailing comma in array \(byte \d+\))\)", text)


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
def test_a_line_that_is_no_json_is_refused_by_its_number(body: bytes, what: str, piece_bytes: int) -> None:
    assert refusal(LineSplitter(), body, piece_bytes) == (
        BatchFault.NOT_JSON,
        f"The body is not JSON ({what}). Send one CareCase object a line, each line ended by a line feed, in UTF-8.",
    )


@pytest.mark.parametrize("body", [b'{"case_Key": 1}', b'{"case_ID": []}', b"5", b"[1]\n{}", b"{}\n{}"])
def test_a_line_is_an_item_whatever_is_wrong_with_it(body: bytes) -> None:
    assert lines(body) == body.split(b"\n")


@pytest.mark.parametrize("blank", [b"\x0b", b"\x0c", b"\x85", b"\xc2\xa0"])
def test_what_json_takes_for_no_blank_is_refused_whatever_its_neighbours_are(blank: bytes) -> None:
    for body in (b"{}%b\n{}" % blank, b"{}%b\n%b{}" % (blank, MARK)):
        with pytest.raises(BatchRefused, match="line 1"):
            lines(body)
