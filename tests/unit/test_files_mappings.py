"""A mapping reads a partner's own file; a mistake in a mapping is named by its setting."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.builders import items_of
from tests.unit.rows import HEADER, ROW, cases, lines, mapped

from carecase_worker.files.mapping import MappingMistakes
from carecase_worker.files.media_types import media_type_of
from carecase_worker.settings.places import leaves_of
from carecase_worker.settings.sections.files import FileSettings

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "files.md"


def test_every_setting_of_a_mapping_has_a_description_and_a_place_in_the_page_of_files() -> None:
    rows = [line.split("|")[1] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    for name, description in leaves_of(FileSettings):
        assert description, name
        assert name in named, name


def test_each_default_and_each_encoding_is_that_of_the_page_of_files() -> None:
    rows = [[cell.strip("| ") for cell in line.split(" | ")] for line in PAGE.read_text("utf-8").splitlines()]
    described = {names: (default, text) for names, default, text in (row for row in rows if len(row) == 3)}
    defaults = {
        name: default.strip("`")
        for names, (several, _) in described.items()
        for name, default in zip(re.findall(r"`(\w+)`", names), several.split(", "), strict=False)
        if name in FileSettings.model_fields
    }
    assert len(defaults) > 12
    for name, value in FileSettings():
        if name in defaults and name != "columns":
            assert defaults[name] == as_the_page_writes(value), name
    for encoding in ("utf-8", *re.findall(r"`([\w-]+)`", described["`encoding`"][1])):
        assert FileSettings.model_validate({"encoding": encoding}).encoding == encoding


def as_the_page_writes(value: object) -> str:
    match value:
        case bool() | int():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple() if value:
            return f"[{', '.join(map(as_the_page_writes, value))}]"
        case _:
            return "none"


def test_the_key_may_be_a_constant_and_a_last_row_is_then_no_total() -> None:
    mapping = mapped(
        columns={"r": "case_Reason"}, constants={"case_Key": 1, "carePlan_Key": 5, "do_Not_Contact": False}
    )
    assert cases(b"r\nTotal\n", mapping) == [{**ROW, "case_Reason": "Total"}]


def test_a_body_of_tabs_is_split_by_them_whatever_the_mapping_says() -> None:
    """Its media type says it: so the same mapping may be used for CSV."""
    mapping = mapped(
        columns={"k": "case_Key", "i": "case_ID"},
        delimiter=";",
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
    )
    splitter = media_type_of("text/tab-separated-values; charset=utf-8").splitter(mapping)
    (item,) = items_of(b"k\ti\n1\ta;b\n", splitter, 1 << 20)
    assert json.loads(bytes(item)) == {**ROW, "case_ID": "a;b"}


def test_each_constant_is_of_its_own_field_whatever_their_order() -> None:
    constants = {"do_Not_Contact": True, "case_Status": "OPEN", "carePlan_Key": 5, "case_ID": "A"}
    mapping = mapped(columns={"k": "case_Key"}, constants=constants)
    assert cases(b"k\n1\n2\n", mapping) == [{"case_Key": key, **constants} for key in (1, 2)]


@pytest.mark.parametrize("key", [7, -5])
def test_a_last_row_with_a_key_is_no_total_whatever_its_other_cells_say(key: int) -> None:
    mapping = mapped(
        columns={"k": "case_Key", "r": "case_Reason"}, constants={"carePlan_Key": 5, "do_Not_Contact": False}
    )
    assert cases(f"k,r\n1,x\n{key},Total\n".encode(), mapping)[1:] == [{**ROW, "case_Key": key, "case_Reason": "Total"}]


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


GOOD = {"case_Key": "1", "carePlan_Key": "2", "do_Not_Contact": "3"}


@pytest.mark.parametrize(
    ("settings", "setting", "words"),
    [
        ({"columns": {"a": "case_Kay"}}, "columns", "did you mean case_Key?"),
        ({"columns": {"a": "case_Key", "b": "case_Key"}}, "columns", "comes twice"),
        ({"columns": {"a": "case_Key"}}, "columns", "no carePlan_Key, which every case needs"),
        ({"fixed": GOOD, "columns": ["case_Key"]}, "fixed", "set one of them"),
        ({"fixed": {"case_Kay": "1"}}, "fixed", "did you mean case_Key?"),
        ({"fixed": GOOD | {"case_ID": "9-8"}}, "fixed", "the first not above the last"),
        ({"fixed": GOOD | {"case_ID": "0-8"}}, "fixed", "from 1"),
        ({"constants": {"case_Priority": True}}, "constants", "of the type int32"),
        ({"constants": {"nothing": 1}}, "constants", "is not a field"),
        ({"date_formats": ["%d/%m/%Y", "%m/%d/%Y"]}, "date_formats", "may both fit one text"),
        ({"date_formats": ["%d.%m.%y", "%y.%m.%d"]}, "date_formats", "%d.%m.%y and %y.%m.%d may both fit one text"),
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
def test_a_mistake_in_a_mapping_is_named_by_its_setting(settings: dict[str, Any], setting: str, words: str) -> None:
    with pytest.raises(MappingMistakes) as raised:
        mapped(**settings)
    assert [words for named, text in raised.value.mistakes if named == setting and words in text] == [words]
