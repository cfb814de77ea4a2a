"""A bad file is refused with its line, or its columns, and with what to do; nothing of its values is shown."""

import pytest
from tests.builders import items_of
from tests.unit.rows import HEADER, ROW, cases, lines, mapped, refused

from carecase_worker.errors import BatchRefused
from carecase_worker.files.mapping import NAMES_OF_FIELDS
from carecase_worker.files.splitting import RowSplitter

FAULTS = {
    b"1,5,false\n": ("Line 2 has 3 cells, and there are 4 columns.", "skipped_last_lines"),
    b"1,5,false,a\n\n2,5,false,a,b\n": ("Line 4 has 5 cells", "Quote cells"),
    b'1,5,false,a"b\n': ('Line 2 has a quote (")', "twice"),
    b'1,5,false,"a"b\n2,5,false,c\n': ('Line 2 has a quote (")', "twice"),
    b'1,5,false,"a\nb"c\n': ('Line 3 has a quote (")', "twice"),
    b'1,5,false,a"b\n2,5,false,c"d\n': ('Line 2 has a quote (")', "twice"),
    b'1,5,false,"x\ny"\n2,5,false,"a""b"\n3,5,false,c"d"\n': ('Line 5 has a quote (")', "twice"),
    b'1,5,false,a\n2,5,false,"b\n3,5,false,c\n': ("Line 3 begins a quoted cell that never ends", "Close the quote"),
    b"1,5,false,a\n2,5,false,\0\n": ("Line 3 contains U+0000", "UTF-16"),
    b"1,5,false,a\n2,5,false,\xe9\n": ("Line 3 is not utf-8", 'encoding = "windows-1252"'),
    b"1,5,false,a\r2,5,false,b\n": ("Line 2 ends with a carriage return alone", "CRLF"),
    b"1,5,false,a\n" + HEADER + b"2,5,false,b\n": ("Line 3 repeats the header row", "Remove it"),
    b"1,5,false,a\n" + HEADER.upper().replace(b",", b", ") + b"2,5,false,b\n": (
        "Line 3 repeats the header row",
        "Remove it",
    ),
    b"1,5,false,a\ncarePlan_Key,case_Key,do_Not_Contact,case_ID\n5,2,false,b\n": (
        "Line 3 is a header row with other columns",
        "by itself",
    ),
    b"1,5,false,a\ncase_Key,carePlan_Key,do_Not_Contact\n2,5,false\n": (
        "Line 3 is a header row with other columns",
        "by itself",
    ),
    b"1,5,false,a\n\xef\xbb\xbf" + HEADER + b"2,5,false,b\n": ("Line 3 begins with a byte order mark", "by itself"),
    b"1,5,false,a\nTotal: 1,,,\n": ("Line 3 is the last one, has no case_Key", "skipped_last_lines"),
    b"1,5,false,a\n,,,Total 1\n": ("Line 3 is the last one, has no case_Key", "skipped_last_lines"),
    **{
        b"1,5,false,a\n%b,,,1\n" % word: ("Line 3 is the last one, has no case_Key", "skipped_last_lines")
        for word in (
            b"SUM",
            b"Count",
            b"TRAILER",
            b"Summe",
            b"Subtotal",
            b"TRL",
            b"Footer",
            b"Records",
            b"rows",
            b"End of file",
        )
    },
}


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
@pytest.mark.parametrize("rows", FAULTS, ids=lambda rows: repr(rows)[:40])
def test_a_bad_file_is_refused_with_its_line_and_what_to_do(rows: bytes, piece_bytes: int) -> None:
    begins, advice = FAULTS[rows]
    text = refused(HEADER + rows, piece_bytes=piece_bytes)
    assert text.startswith(begins)
    assert advice in text


def test_a_file_of_one_column_is_told_of_in_the_singular() -> None:
    mapping = mapped(constants={"carePlan_Key": 5, "do_Not_Contact": False})
    words = "Line 2 has 2 cells, and there is 1 column."
    assert words in refused(b"case_Key\n1,2\n", mapping=mapping)


def test_a_row_that_ends_before_its_key_is_refused_with_its_line() -> None:
    header = b"carePlan_Key,do_Not_Contact,case_Key\n"
    for row, count in ((b"5", "1 cell"), (b"5,false", "2 cells"), (b"5,false,1,x", "4 cells")):
        assert refused(header + b"5,false,1\n" + row + b"\n").startswith(
            f"Line 3 has {count}, and there are 3 columns."
        )


def test_a_column_of_the_mapping_that_the_file_does_not_have_is_reported() -> None:
    """Each case would lose that field, and nobody would notice."""
    mapping = mapped(
        columns={"k": "case_Key", "i": "case_ID", "s": "case_Status", "n": ""},
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
    )  # fmt: skip
    words = "has no column for case_ID, case_Status, which the mapping names."
    assert words in refused(b"k,n\n1,x\n", mapping)
    assert cases(b"k,i,s\n1,x,\n", mapping) == [{**ROW, "case_ID": "x"}], "a column that is left out may be absent"


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
def test_a_column_may_have_a_line_feed_in_its_name_and_a_stray_quote_there_is_refused(piece_bytes: int) -> None:
    mapping = mapped(
        columns={"Case\nNo": "case_Key", 'a "b"': "case_ID"}, constants={"carePlan_Key": 5, "do_Not_Contact": False}
    )
    text = b'"Case\nNo","a ""b""\n"\n1,x\n'
    assert cases(text, mapping, piece_bytes) == [{**ROW, "case_ID": "x"}]
    assert lines(text, mapping, piece_bytes) == [4]
    assert refused(b'case_Key,x"y\n1,2\n', piece_bytes=piece_bytes).startswith('Line 1 has a quote (")')


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
def test_a_mark_that_contradicts_the_encoding_is_refused_before_texts_become_wrong(piece_bytes: int) -> None:
    """Each letter outside ASCII would be stored as two others; with fixed width the first line's keys would shift."""
    constants = {"carePlan_Key": 5, "do_Not_Contact": False}
    names = mapped(
        columns={"k": "case_Key", "i": "case_ID"}, encoding="windows-1252", skipped_lines=1, constants=constants
    )
    words = "The file is UTF-8, as its byte order mark says, and not windows-1252."
    assert refused("\ufeffExport\nk,i\n1,Ü\n".encode(), names, piece_bytes).startswith(words)
    layout = mapped(fixed={"case_ID": "1-3", "case_Key": "4-8"}, encoding="windows-1252", constants=constants)
    assert refused("\ufeff00000011\n".encode(), layout, piece_bytes).startswith(words)


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
@pytest.mark.parametrize(
    ("encoding", "broken"), [("utf-8", b"\xff"), ("utf-16", b"\x00\xdc"), ("windows-1252", b"\x81")]
)
def test_bytes_that_are_not_of_the_encoding_are_refused_with_the_line_that_a_reader_counts(
    encoding: str, broken: bytes, piece_bytes: int
) -> None:
    """In UTF-16, a letter of Gurmukhi such as U+0A15 has the byte of a line feed, and is none."""
    letters = "Ü" if encoding == "windows-1252" else "\u0a15\u0a16"
    mapping = mapped(
        columns={"k": "case_Key", "i": "case_ID"},
        encoding=encoding,
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
    )
    text = f"k,i\n1,{letters}\n2,{letters}".encode(encoding) + broken + "\n".encode(encoding)[-2:]
    assert refused(text, mapping, piece_bytes).startswith(f"Line 3 is not {encoding}. ")


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_mark_within_a_file_is_refused_where_it_begins_a_line(encoding: str, piece_bytes: int) -> None:
    """It would shift the fields of a line of fixed width; elsewhere it is a character of the text."""
    layout = mapped(
        fixed={"case_ID": "1-3", "case_Key": "4-8"},
        encoding=encoding,
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
    )
    text = "00000011\n\ufeff00000021\n".encode(encoding)
    assert refused(text, layout, piece_bytes).startswith("Line 2 begins with a byte order mark")
    (row,) = cases("a\ufeffb00001\n".encode(encoding), layout, piece_bytes)
    assert row == {**ROW, "case_ID": "a\ufeffb"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"0000011\r0000021\r", "Line 1 ends with a carriage return alone"),
        (b"0" * 4000, "Line 1 begins a row of more than 2000 characters"),
    ],
)
def test_lines_of_fixed_width_without_end_are_refused(text: bytes, words: str) -> None:
    mapping = mapped(fixed={"case_Key": "1-6", "do_Not_Contact": "7"}, constants={"carePlan_Key": 5})
    with pytest.raises(BatchRefused, match=words):
        items_of(text * 600 if b"\r" in text else text, RowSplitter(mapping, item_bytes=1000), 500)


def test_a_repeated_header_row_of_numbers_is_no_case() -> None:
    mapping = mapped(columns={"1": "case_Key", "2": "case_ID"}, constants={"carePlan_Key": 5, "do_Not_Contact": False})
    assert refused(b"1,2\n7,a\n1,2\n8,b\n", mapping).startswith("Line 3 repeats the header row")


HEADERS = {
    b"1,5,false,x\n1,5,false,y\n": "Line 1 is not a header row: it has no field name.",
    b"sep=;\ncase_Key;carePlan_Key;do_Not_Contact\n1;5;false\n": "or use a mapping with skipped_lines = 1.",
    b"SEP=,\ncase_Key,carePlan_Key,do_Not_Contact\n1,5,false\n": "Line 1 names the delimiter to a spreadsheet program",
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
def test_a_header_that_does_not_fit_is_refused_without_its_names(text: bytes) -> None:
    with pytest.raises(BatchRefused) as raised:
        items_of(text, RowSplitter(NAMES_OF_FIELDS), 1 << 20)
    assert HEADERS[text] in str(raised.value)
    assert "Meyer" not in str(raised.value)


def test_a_line_that_names_the_delimiter_is_to_be_skipped_with_those_before_it() -> None:
    mapping = mapped(columns={"k": "case_Key"}, constants={"carePlan_Key": 5, "do_Not_Contact": False}, skipped_lines=1)
    text = refused(b"Export\nsep=;\nk;i\n1;2\n", mapping)
    assert text.startswith("Line 2 names the delimiter")
    assert text.endswith("or use a mapping with skipped_lines = 2.")


def test_a_file_may_have_a_thousand_columns_and_no_more() -> None:
    mapping = mapped(
        columns={"k": "case_Key"}, constants={"carePlan_Key": 5, "do_Not_Contact": False}, other_columns="ignore"
    )
    header, row = b"k" + b",x" * 999, b"1" + b"," * 999
    assert cases(header + b"\n" + row + b"\n", mapping) == [ROW]
    assert refused(header + b",x\n" + row + b",\n", mapping).startswith("Line 1 has more than 1000 columns.")
