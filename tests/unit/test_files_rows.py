"""The rows of a file become items, however the bytes come; rows without a value are none."""

import csv
import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import items_of
from tests.unit.rows import HEADER, ROW, cases, cases_or_fault, lines, refused

from carecase_worker.batches.line_numbers import lines_of_runs, runs_of_lines
from carecase_worker.cases.care_case import FIELDS
from carecase_worker.errors import BatchRefused
from carecase_worker.files.mapping import NAMES_OF_FIELDS
from carecase_worker.files.splitting import RowSplitter


def test_a_row_is_a_case_with_the_types_of_the_field_table() -> None:
    header = ",".join(field.name for field in FIELDS)
    row = (
        '0037,2026-01-05,2026-01-05T10:00:00+01:00,5,USER,,0042,3,,9.50,,OPEN,007,TRUE,,"a, ""b""",'
        ",,me,,01,,000000009,,"
    )
    assert cases(f"{header}\n{row}\n".encode()) == [
        {
            "case_Key": 37,
            "appointment_Date": "2026-01-05T00:00:00Z",
            "assessment_Date": "2026-01-05T10:00:00+01:00",
            "carePlan_Key": 5,
            "case_Assign_Type": "USER",
            "case_ID": "0042",
            "case_Priority": 3,
            "case_Score": 9.5,
            "case_Status": "OPEN",
            "division_ID": "007",
            "do_Not_Contact": True,
            "eligibility_Verified_Comment": 'a, "b"',
            "entry_User": "me",
            "member_Seq": "01",
            "subscriber_ID": "000000009",
        }
    ]


CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(
    st.lists(st.tuples(st.integers(-9, 10**9), CELLS), min_size=1, max_size=12),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.integers(1, 40),
)
def test_rows_are_those_of_the_csv_module_however_the_bytes_come(
    rows: list[tuple[int, str]], delimiter: str, quoting: Any, end: str, mark: bytes, piece_bytes: int
) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerow(["case_Key", "carePlan_Key", "do_Not_Contact", "case_ID"])
    writer.writerows((key, 5, "false", text) for key, text in rows)
    text = mark + written.getvalue().encode()
    expected = [{**ROW, "case_Key": key} | ({"case_ID": text} if text else {}) for key, text in rows]
    assert cases(text) == cases(text, piece_bytes=piece_bytes) == expected
    assert lines(text) == lines(text, piece_bytes=piece_bytes)
    begins = [1]
    reader = csv.reader(io.StringIO(written.getvalue(), newline="\n"), delimiter=delimiter)
    begins += [reader.line_num + 1 for _ in reader]
    assert lines(text) == begins[1:-1]


@given(st.text('a1,"\n\r ', max_size=40), st.integers(1, 9))
def test_a_file_means_the_same_however_its_bytes_come(text: str, piece_bytes: int) -> None:
    sent = HEADER + text.encode()
    assert cases_or_fault(sent, piece_bytes) == cases_or_fault(sent, 1 << 20)


@pytest.mark.parametrize("text", [b"", b"\n\r\n", HEADER, HEADER.rstrip(), HEADER + b"\n,,,\n  \n"])
def test_a_file_without_rows_is_empty(text: bytes) -> None:
    with pytest.raises(BatchRefused, match="The batch is empty"):
        items_of(text, RowSplitter(NAMES_OF_FIELDS), 1 << 20)


def test_blank_lines_and_rows_without_any_value_are_no_rows() -> None:
    text = b"\r\n" + HEADER + b"\n1,5,false,x\n,,,\n \n2,5,false,y\n\n"
    assert [case["case_Key"] for case in cases(text)] == [1, 2]
    assert lines(text) == [4, 7]
    keyless = {name: value for name, value in ROW.items() if name != "case_Key"}
    assert cases(HEADER + b",5,false,x\n") == [{**keyless, "case_ID": "x"}], "a row with a value is one to be judged"


def test_the_last_lines_that_are_skipped_are_the_last_of_the_file_however_its_bytes_come() -> None:
    mapping = replace(NAMES_OF_FIELDS, skipped_last_lines=2)
    text = HEADER + b"1,5,false,a\n1,5,false,b\n1,5,false,c\nTotal,,,\n3,,,\n"
    for piece_bytes in range(1, len(text) + 1):
        assert [case["case_ID"] for case in cases(text, mapping, piece_bytes)] == ["a", "b", "c"]
        assert lines(text, mapping, piece_bytes) == [2, 3, 4]


def test_a_piece_may_end_anywhere_in_a_quoted_cell_of_several_lines() -> None:
    text = HEADER + b'1,5,false,"a\nb ""c""\n"\n1,5,false,d\n'
    for piece_bytes in range(1, len(text) + 1):
        assert cases(text, piece_bytes=piece_bytes) == [{**ROW, "case_ID": 'a\nb "c"\n'}, {**ROW, "case_ID": "d"}]
        assert lines(text, piece_bytes=piece_bytes) == [2, 5]


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
def test_lines_of_other_blanks_before_the_header_are_skipped(piece_bytes: int) -> None:
    text = b"\t\t\n \t \r\n\n" + HEADER.replace(b",", b"\t") + b"1\t5\tfalse\tx\n"
    assert cases(text, piece_bytes=piece_bytes) == [{**ROW, "case_ID": "x"}]
    assert lines(text, piece_bytes=piece_bytes) == [5]


def test_a_row_is_bounded_and_so_is_the_memory_for_it() -> None:
    splitter = RowSplitter(NAMES_OF_FIELDS, item_bytes=1000)
    splitter.feed(HEADER + b'1,5,false,"')
    for _ in range(3):
        splitter.feed(b"x" * 500 + b"\n")
        assert splitter.buffered_bytes < 3_000
    with pytest.raises(BatchRefused, match="Line 2 begins a quoted cell that never ends"):
        splitter.feed(b"x" * 500 + b"\n")
    with pytest.raises(BatchRefused, match="Line 2 begins a row of more than 2000 characters"):
        items_of(HEADER + b"x" * 3000, RowSplitter(NAMES_OF_FIELDS, item_bytes=1000), 500)
    small = RowSplitter(NAMES_OF_FIELDS, item_bytes=1000)
    with pytest.raises(BatchRefused, match="Line 3 begins a row of more than 2000 characters"):
        small.feed(HEADER + b"1,5,false,x\n2,5,false," + b"x" * 3000)
    assert "more than 131072 characters" in refused(HEADER + b"1,5,false,%s\n" % (b"x" * (128 << 10) + b"x"))


@pytest.mark.parametrize("letter", ["x", "\u0416", "\u4e2d"])
def test_it_tells_how_much_memory_rows_take_that_are_no_items_yet(letter: str) -> None:
    """The intake bounds by it what a client may have open; of most alphabets, a letter takes two bytes or more."""
    splitter = RowSplitter(replace(NAMES_OF_FIELDS, skipped_last_lines=3))
    splitter.feed(HEADER)
    row = f"1,5,false,{letter * 10_000}\n"
    letters_bytes = 10_000 * min(2, len(letter.encode()))
    for count in (1, 2, 3, 3):
        splitter.feed(row.encode())
        assert count * letters_bytes < splitter.buffered_bytes < (count + 1) * letters_bytes
    splitter.feed(row.removesuffix("\n").encode())
    assert splitter.buffered_bytes > 4 * letters_bytes, "one of them is not complete"


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=30).map(
        lambda steps: [sum(steps[:n]) for n in range(1, len(steps) + 1)]
    )
)
def test_lines_are_kept_as_runs(numbers: list[int]) -> None:
    runs = runs_of_lines(numbers)
    assert list(lines_of_runs(runs, len(numbers))) == numbers
    assert len(runs) <= len(numbers)


@pytest.mark.parametrize("blank", [b"   \n", b" ,,,\n", b'" ",,,\n'])
def test_a_blank_row_is_none_whatever_its_neighbours_are(blank: bytes) -> None:
    assert lines(HEADER + b"1,5,false,x\n" + blank + b"2,5,false,y\n") == [2, 4]
    assert lines(HEADER + b"1,5,false,x\n" + blank + b",,,\n2,5,false,y\n") == [2, 5]
