"""Files of partners: rows become items, however the bytes come; what is no table is told with its line."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import items_of

from carecase_worker.batches.line_numbers import lines_of_runs, runs_of_lines
from carecase_worker.cases.care_case import FIELDS
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.files.mapping import NAMES_OF_FIELDS, FileMapping, MappingMistakes, mapping_of
from carecase_worker.files.splitting import RowSplitter
from carecase_worker.settings.sections.files import FileSettings

HEADER = b"case_Key,carePlan_Key,do_Not_Contact,case_ID\n"
ROW = {"case_Key": 1, "carePlan_Key": 5, "do_Not_Contact": False}


def mapped(**settings: Any) -> FileMapping:
    return mapping_of(FileSettings.model_validate(settings))


def cases(text: bytes, mapping: FileMapping = NAMES_OF_FIELDS, piece_bytes: int = 1 << 20) -> list[dict[str, Any]]:
    return [json.loads(bytes(item)) for item in items_of(text, RowSplitter(mapping), piece_bytes)]


def lines(text: bytes, mapping: FileMapping = NAMES_OF_FIELDS, piece_bytes: int = 1 << 20) -> list[int]:
    splitter = RowSplitter(mapping)
    fed = [splitter.feed(text[at : at + piece_bytes]) for at in range(0, len(text), piece_bytes)]
    return [line for items in (*fed, splitter.finish()) for line in getattr(items, "lines", ())]


def refused(text: bytes, mapping: FileMapping = NAMES_OF_FIELDS, piece_bytes: int = 1 << 20) -> str:
    with pytest.raises(BatchRefused) as raised:
        items_of(text, RowSplitter(mapping), piece_bytes)
    assert raised.value.fault is BatchFault.BAD_FILE
    return str(raised.value)


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


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12a", "12a"), ("1.0", "1.0"), ("1_0", "1_0"), ("٣", "٣"), (" 7 ", 7), ("+7", 7), ("-07", -7),
        ("9" * 30, int("9" * 30)),
    ],
)  # fmt: skip
def test_a_cell_that_is_not_of_its_type_stays_text_for_the_rules_to_judge(cell: str, value: object) -> None:
    assert cases(HEADER + f"{cell},5,false,x\n".encode()) == [{**ROW, "case_Key": value, "case_ID": "x"}]


@pytest.mark.parametrize("cell", ["nan", "inf", "1e999", "0x1", "1,5", "--1"])
def test_a_number_that_json_does_not_have_stays_text(cell: str) -> None:
    text = f'case_Key,carePlan_Key,do_Not_Contact,case_Score\n1,5,false,"{cell}"\n'.encode()
    assert cases(text) == [{**ROW, "case_Score": cell}]


@pytest.mark.parametrize(
    ("cell", "value"), [("1,5", 1.5), ("-,5", -0.5), ("2", 2.0), ("1.234", "1.234"), ("1.234,5", "1.234,5")]
)
def test_with_a_decimal_comma_a_point_may_be_of_thousands_and_is_not_guessed_at(cell: str, value: object) -> None:
    mapping = mapped(
        columns={"k": "case_Key", "s": "case_Score"}, delimiter=";", decimal=",",
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
    )  # fmt: skip
    assert cases(f"k;s\n1;{cell}\n".encode(), mapping) == [{**ROW, "case_Score": value}]


def test_a_null_token_of_digits_is_no_number() -> None:
    mapping = mapped(
        columns={"k": "case_Key", "p": "case_Priority"}, null_tokens=["", "99"],
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
    )  # fmt: skip
    assert cases(b"k,p\n1,3\n2,99\n", mapping) == [{**ROW, "case_Priority": 3}, {**ROW, "case_Key": 2}]


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


def told(text: bytes, piece_bytes: int) -> object:
    try:
        return cases(text, piece_bytes=piece_bytes)
    except BatchRefused as refusal:
        return refusal.fault


@given(st.text('a1,"\n\r ', max_size=40), st.integers(1, 9))
def test_a_file_means_the_same_however_its_bytes_come(text: str, piece_bytes: int) -> None:
    sent = HEADER + text.encode()
    assert told(sent, piece_bytes) == told(sent, 1 << 20)


FAULTS = {
    b"1,5,false\n": ("Line 2 has 3 cells, and there are 4 columns.", "skipped_last_lines"),
    b"1,5,false,a\n\n2,5,false,a,b\n": ("Line 4 has 5 cells", "Quote cells"),
    b'1,5,false,a"b\n': ('Line 2 has a quote (")', "twice"),
    b'1,5,false,"a"b\n2,5,false,c\n': ('Line 2 has a quote (")', "twice"),
    b'1,5,false,a"b\n2,5,false,c"d\n': ('Line 2 has a quote (")', "twice"),
    b'1,5,false,"x\ny"\n2,5,false,"a""b"\n3,5,false,c"d"\n': ('Line 5 has a quote (")', "twice"),
    b'1,5,false,a\n2,5,false,"b\n3,5,false,c\n': ("Line 3 begins a quoted cell that never ends", "Close the quote"),
    b"1,5,false,a\n2,5,false,\0\n": ("Line 3 contains U+0000", "UTF-16"),
    b"1,5,false,a\n2,5,false,\xe9\n": ("Line 3 is not utf-8", 'encoding = "windows-1252"'),
    b"1,5,false,a\r2,5,false,b\n": ("Line 2 ends with a carriage return alone", "CRLF"),
    b"1,5,false,a\n" + HEADER + b"2,5,false,b\n": ("Line 3 repeats the header row", "Remove it"),
    b"1,5,false,a\nTotal: 1,,,\n": ("Line 3 is the last one, has no case_Key", "skipped_last_lines"),
}


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
@pytest.mark.parametrize("rows", FAULTS, ids=lambda rows: repr(rows)[:40])
def test_a_bad_file_is_told_with_its_line_and_what_to_do(rows: bytes, piece_bytes: int) -> None:
    begins, advice = FAULTS[rows]
    text = refused(HEADER + rows, piece_bytes=piece_bytes)
    assert text.startswith(begins)
    assert advice in text


def test_a_column_of_the_mapping_that_the_file_does_not_have_is_told() -> None:
    """Each case would lose that field, and nobody would notice."""
    mapping = mapped(
        columns={"k": "case_Key", "i": "case_ID", "s": "case_Status", "n": ""},
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
    )  # fmt: skip
    words = "has no column for case_ID, case_Status, which the mapping names."
    assert words in refused(b"k,n\n1,x\n", mapping)
    assert cases(b"k,i,s\n1,x,\n", mapping) == [{**ROW, "case_ID": "x"}], "a column that is left out may be absent"


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
def test_a_column_may_have_a_line_feed_in_its_name_and_a_stray_quote_there_is_told(piece_bytes: int) -> None:
    mapping = mapped(
        columns={"Case\nNo": "case_Key", 'a "b"': "case_ID"}, constants={"carePlan_Key": 5, "do_Not_Contact": False}
    )
    text = b'"Case\nNo","a ""b""\n"\n1,x\n'
    assert cases(text, mapping, piece_bytes) == [{**ROW, "case_ID": "x"}]
    assert lines(text, mapping, piece_bytes) == [4]
    assert refused(b'case_Key,x"y\n1,2\n', piece_bytes=piece_bytes).startswith('Line 1 has a quote (")')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"0000011\r0000021\r", "Line 1 ends with a carriage return alone"),
        (b"0" * 4000, "Line 1 begins a row of more than 2000 characters"),
    ],
)
def test_lines_of_fixed_width_without_end_are_told(text: bytes, words: str) -> None:
    mapping = mapped(fixed={"case_Key": "1-6", "do_Not_Contact": "7"}, constants={"carePlan_Key": 5})
    with pytest.raises(BatchRefused, match=words):
        items_of(text * 600 if b"\r" in text else text, RowSplitter(mapping, item_bytes=1000), 500)


def test_blanks_around_a_date_time_are_no_part_of_it() -> None:
    text = b"case_Key,carePlan_Key,do_Not_Contact,case_Start_Date\n1,5,false, 2026-02-05T01:00:00Z \n2,5,false,\n"
    assert cases(text) == [{**ROW, "case_Start_Date": "2026-02-05T01:00:00Z"}, {**ROW, "case_Key": 2}]


def test_a_column_of_many_different_cells_is_converted_as_one_of_few() -> None:
    rows = 25_000
    text = b"case_Key,carePlan_Key,do_Not_Contact,case_Score\n"
    text += b"".join(b"%d,5,false,%d.5\n%d,5,false,0.5\n" % (n, n, n) for n in range(rows))
    scores = [case["case_Score"] for case in cases(text, piece_bytes=1 << 16)]
    assert scores == [score for n in range(rows) for score in (n + 0.5, 0.5)]


def test_the_key_may_be_a_constant_and_a_last_row_is_then_no_total() -> None:
    mapping = mapped(
        columns={"r": "case_Reason"}, constants={"case_Key": 1, "carePlan_Key": 5, "do_Not_Contact": False}
    )
    assert cases(b"r\nTotal\n", mapping) == [{**ROW, "case_Reason": "Total"}]


HEADERS = {
    b"1,5,false,x\n1,5,false,y\n": "Line 1 is not a header row: it has no field name.",
    b"case_Key,carePlan_Key,do_Not_Contact,caseid\n": "column 4 is not a field; did you mean case_ID?",
    b"case_Key,carePlan_Key,do_Not_Contact,Meyer\n": "column 4 is not a field. Remove it",
    b"case_Key,case_Key,carePlan_Key,do_Not_Contact\n": "two columns for case_Key",
    b"case_Key,carePlan_Key\n1,5\n": "has no do_Not_Contact, which every case needs",
    b"case_Key" + b",x" * 1000 + b"\n": "more than 1000 columns",
    b"PK\x03\x04 anything": "Excel workbook",
    b'[{"case_Key": 1}]': "The body is JSON",
    b'{"case_Key": 1}\n': "The body is JSON",
    HEADER.decode().encode("utf-16"): "is UTF-16",
}


@pytest.mark.parametrize("text", HEADERS, ids=lambda text: repr(text)[:40])
def test_a_header_that_does_not_fit_is_told_without_its_names(text: bytes) -> None:
    with pytest.raises(BatchRefused) as raised:
        items_of(text, RowSplitter(NAMES_OF_FIELDS), 1 << 20)
    assert HEADERS[text] in str(raised.value)
    assert "Meyer" not in str(raised.value)


@pytest.mark.parametrize("text", [b"", b"\n\r\n", HEADER, HEADER.rstrip(), HEADER + b"\n,,,\n  \n"])
def test_a_file_without_rows_is_empty(text: bytes) -> None:
    with pytest.raises(BatchRefused, match="The batch is empty"):
        items_of(text, RowSplitter(NAMES_OF_FIELDS), 1 << 20)


def test_blank_lines_and_rows_without_any_value_are_no_rows() -> None:
    text = b"\r\n" + HEADER + b"\n1,5,false,x\n,,,\n \n2,5,false,y\n\n"
    assert [case["case_Key"] for case in cases(text)] == [1, 2]
    assert lines(text) == [4, 7]


MEMBERS = {
    "columns": {"Case No": "case_Key", "Status": "case_Status", "Opened": "case_Start_Date", "DNC": "do_Not_Contact"},
    "constants": {"carePlan_Key": 5},
    "delimiter": ";",
    "encoding": "windows-1252",
    "date_formats": ["%d.%m.%Y", "%d.%m.%Y %H:%M"],
    "null_tokens": ["", "NULL", "n/a"],
    "true_tokens": ["J"],
    "false_tokens": ["N"],
    "skipped_lines": 2,
    "skipped_last_lines": 1,
    "other_columns": "ignore",
    "trim": True,
}


@pytest.mark.parametrize("piece_bytes", [1, 7, 1 << 20])
def test_a_mapping_reads_a_partners_own_file(piece_bytes: int) -> None:
    text = (
        "Export;Partner\n2026-11-27\n"
        "case no;STATUS;Opened;Name;DNC\n"
        "007; öffen ;05.02.2026;Meyer;j\n"
        "8;n/a;5.2.2026 9:30;;N\n"
        "9;NULL;31.02.2026;;x\n"
        "3 rows\n"
    )
    assert cases(text.encode("cp1252"), mapped(**MEMBERS), piece_bytes) == [
        {
            **ROW, "case_Key": 7, "case_Status": "öffen", "case_Start_Date": "2026-02-05T00:00:00Z",
            "do_Not_Contact": True,
        },
        {**ROW, "case_Key": 8, "case_Start_Date": "2026-02-05T09:30:00Z"},
        {**ROW, "case_Key": 9, "case_Start_Date": "2026-02-31T00:00:00Z", "do_Not_Contact": "x"},
    ]  # fmt: skip
    assert lines(text.encode("cp1252"), mapped(**MEMBERS), piece_bytes) == [4, 5, 6]


def test_a_mapping_names_the_columns_of_a_file_without_header_row() -> None:
    mapping = mapped(columns=["case_Key", "", "case_ID"], constants={"carePlan_Key": 5, "do_Not_Contact": False})
    assert cases(b"1,ignored,x\n2,,\n", mapping) == [{**ROW, "case_ID": "x"}, {**ROW, "case_Key": 2}]


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
def test_a_layout_reads_lines_of_fixed_width(piece_bytes: int) -> None:
    mapping = mapped(
        fixed={"case_Key": "1-6", "case_ID": "7-12", "do_Not_Contact": "13", "case_Score": "14-18"},
        constants={"carePlan_Key": 5}, true_tokens=["Y"], false_tokens=["N"], decimal=",",
    )  # fmt: skip
    text = b"000001A 1   Y  1,5\r\n000002       \r\n\r\n     3B     N\n"
    assert cases(text, mapping, piece_bytes) == [
        {**ROW, "case_ID": "A 1", "do_Not_Contact": True, "case_Score": 1.5},
        {"case_Key": 2, "carePlan_Key": 5},
        {**ROW, "case_Key": 3, "case_ID": "B"},
    ]
    assert lines(text, mapping, piece_bytes) == [1, 2, 4]


def test_utf_16_is_read_where_the_mapping_says_so() -> None:
    text = (HEADER.decode() + "1,5,false,ü\n").encode("utf-16")
    mapping = mapped(
        columns={name: name for name in ("case_Key", "carePlan_Key", "do_Not_Contact", "case_ID")}, encoding="utf-16"
    )
    assert cases(text, mapping, 3) == [{**ROW, "case_ID": "ü"}]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "text", "iso"),
    [
        ("%m/%d/%Y", "2/5/2026", "2026-02-05T00:00:00Z"),
        ("%d-%b-%y", "05-FEB-69", "1969-02-05T00:00:00Z"),
        ("%d-%b-%y", "05-feb-68", "2068-02-05T00:00:00Z"),
        ("%Y%m%d%H%M%S", "20260205093001", "2026-02-05T09:30:01Z"),
        ("%m/%d/%Y %I:%M %p", "2/5/2026 12:05 am", "2026-02-05T00:05:00Z"),
        ("%m/%d/%Y %I:%M %p", "2/5/2026 12:05 PM", "2026-02-05T12:05:00Z"),
        ("%Y-%m-%d-%H.%M.%S.%f", "2026-02-05-09.30.01.123456789", "2026-02-05T09:30:01.123456789Z"),
        ("%d/%m/%Y %H:%M%z", "05/02/2026 09:30+0100", "2026-02-05T09:30:00+0100"),
        ("%d/%m/%Y", "2026-02-05T01:00:00Z", "2026-02-05T01:00:00Z"),
        ("%Y%%%m%%%d%%", "2026%02%05%", "2026-02-05T00:00:00Z"),
        ("%Y.%m.%d", "2026x02x05", "2026x02x05"),
        ("%d/%m/%Y", "13/13/2026", "13/13/2026"),
    ],
)
def test_date_times_of_a_mappings_form_become_iso_8601(form: str, text: str, iso: str) -> None:
    columns = {"k": "case_Key", "d": "case_Start_Date"}
    mapping = mapped(columns=columns, date_formats=[form], constants={"carePlan_Key": 5, "do_Not_Contact": False})
    assert cases(f"k,d\n1,{text}\n".encode(), mapping) == [{**ROW, "case_Start_Date": iso}]


GOOD = {"case_Key": "1", "carePlan_Key": "2", "do_Not_Contact": "3"}


@pytest.mark.parametrize(
    ("settings", "setting", "words"),
    [
        ({"columns": {"a": "case_Kay"}}, "columns", "did you mean case_Key?"),
        ({"columns": {"a": "case_Key", "b": "case_Key"}}, "columns", "comes twice"),
        ({"columns": {"a": "case_Key"}}, "columns", "no carePlan_Key, which every case needs"),
        ({"fixed": GOOD, "columns": ["case_Key"]}, "fixed", "set one of them"),
        ({"fixed": GOOD | {"case_ID": "9-8"}}, "fixed", "the first one not above the last"),
        ({"fixed": GOOD | {"case_ID": "0-8"}}, "fixed", "from 1"),
        ({"constants": {"case_Priority": True}}, "constants", "of the type int32"),
        ({"constants": {"nothing": 1}}, "constants", "is not a field"),
        ({"date_formats": ["%d/%m/%Y", "%m/%d/%Y"]}, "date_formats", "may both fit one text"),
        ({"date_formats": ["%d/%m"]}, "date_formats", "must have a year"),
        ({"date_formats": ["%Y-%m-%d %q"]}, "date_formats", "%q"),
        ({"date_formats": ["%Y-%m-%d%"]}, "date_formats", "ends with a % alone"),
        ({"date_formats": ["%Y-%m-%d%%%"]}, "date_formats", "ends with a % alone"),
        ({"date_formats": ["%Y-%m-%m-%d"]}, "date_formats", "%m, which is not known or comes twice"),
        ({"date_formats": ["%Y-%m-%b-%d"]}, "date_formats", "each once"),
        ({"date_formats": ["%Y-%m-%d %I"]}, "date_formats", "%I with %p"),
        ({"true_tokens": ["Y"], "false_tokens": ["y"]}, "true_tokens", "false_tokens"),
        ({"decimal": ","}, "decimal", "delimiter"),
    ],
)
def test_a_mistake_in_a_mapping_is_told_by_its_setting(settings: dict[str, Any], setting: str, words: str) -> None:
    with pytest.raises(MappingMistakes) as raised:
        mapped(**settings)
    assert [words for named, text in raised.value.mistakes if named == setting and words in text] == [words]


def test_a_row_is_bounded_and_so_is_what_is_held_of_it() -> None:
    splitter = RowSplitter(NAMES_OF_FIELDS, item_bytes=1000)
    splitter.feed(HEADER + b'1,5,false,"')
    for _ in range(3):
        splitter.feed(b"x" * 500 + b"\n")
        assert splitter.buffered_bytes < 3_000
    with pytest.raises(BatchRefused, match="Line 2 begins a quoted cell that never ends"):
        splitter.feed(b"x" * 500 + b"\n")
    with pytest.raises(BatchRefused, match="Line 2 begins a row of more than 2000 characters"):
        items_of(HEADER + b"x" * 3000, RowSplitter(NAMES_OF_FIELDS, item_bytes=1000), 500)
    assert "more than 131072 characters" in refused(HEADER + b"1,5,false,%s\n" % (b"x" * (128 << 10) + b"x"))


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=30).map(
        lambda steps: [sum(steps[:n]) for n in range(1, len(steps) + 1)]
    )
)
def test_lines_are_kept_as_runs(numbers: list[int]) -> None:
    runs = runs_of_lines(numbers)
    assert list(lines_of_runs(runs, len(numbers))) == numbers
    assert len(runs) <= len(numbers)
