"""Rows of workbooks and Parquet become the same items as those of text."""

import json
from datetime import date, datetime
from typing import Any

import pytest

from carecase_worker.errors import BatchRefused
from carecase_worker.files.mapping import NAMES_OF_FIELDS, FileMapping, mapping_of
from carecase_worker.files.sheets import items_of_rows
from carecase_worker.settings.sections.files import FileSettings

HEADER = ["case_Key", "carePlan_Key", "do_Not_Contact", "case_Score", "case_Start_Date", "case_ID"]
PLAIN = {"case_Key": 37, "carePlan_Key": 5, "do_Not_Contact": False}


def read(rows: list[Any], mapping: FileMapping = NAMES_OF_FIELDS) -> tuple[list[Any], list[int]]:
    groups = list(items_of_rows(rows, mapping))
    lines = [line for items in groups for line in getattr(items, "lines", ())]
    return [json.loads(bytes(item)) for items in groups for item in items], lines


def test_values_become_cells_and_these_what_their_fields_are() -> None:
    rows: list[Any] = [
        [],
        [*HEADER, "", None],
        [37.0, 5.0, False, 0.5, datetime(2026, 1, 5, 10, 30), "007", ""],
        ["", None, ""],
        ["37", 5, True, "9", date(2026, 1, 5), None],
        [37.5, 5, "no", "x", "soon", 12.0],
    ]
    cases, lines = read(rows)
    assert cases == [
        {**PLAIN, "case_Score": 0.5, "case_Start_Date": "2026-01-05T10:30:00", "case_ID": "007"},
        {**PLAIN, "do_Not_Contact": True, "case_Score": 9.0, "case_Start_Date": "2026-01-05T00:00:00Z"},
        {
            **PLAIN, "case_Key": "37.5", "do_Not_Contact": "no", "case_Score": "x", "case_Start_Date": "soon",
            "case_ID": "12",
        },
    ]  # fmt: skip
    assert lines == [3, 5, 6]


def test_a_mapping_applies_to_them_too() -> None:
    settings = {
        "columns": {"No": "case_Key", "Call": "do_Not_Contact", "Score": "case_Score"},
        "constants": {"carePlan_Key": 5},
        "true_tokens": ["J"],
        "false_tokens": ["N"],
        "decimal": ",",
        "delimiter": ";",
        "skipped_lines": 1,
        "skipped_last_lines": 1,
    }
    mapping = mapping_of(FileSettings.model_validate(settings))
    rows = [["Export"], ["No", "Call", "Score"], [37, False, 1.5], [38, True, "2,5"], ["Total", 2]]
    assert read(rows, mapping)[0] == [
        {**PLAIN, "case_Score": 1.5},
        {**PLAIN, "case_Key": 38, "do_Not_Contact": True, "case_Score": 2.5},
    ]


def test_null_is_null_whatever_a_mapping_writes_for_it() -> None:
    """An empty cell of the same mapping is empty text."""
    names = ["case_Key", "carePlan_Key", "do_Not_Contact", "case_ID", "case_Score"]
    mapping = mapping_of(FileSettings.model_validate({"null_tokens": ["NULL", "n/a"]}))
    rows: list[Any] = [names, [37, 5, False, None, None], [None] * 5, [38, 5, False, "", "n/a"]]
    assert read(rows, mapping) == ([PLAIN, {**PLAIN, "case_Key": 38, "case_ID": ""}], [2, 4])


def test_a_layout_of_fixed_width_is_for_no_table() -> None:
    fixed = {"case_Key": "1-3", "carePlan_Key": "4", "do_Not_Contact": "5"}
    with pytest.raises(BatchRefused, match="The mapping is for lines of fixed width"):
        read([HEADER[:3], [1, 5, False]], mapping_of(FileSettings.model_validate({"fixed": fixed})))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "The batch is empty"),
        ([HEADER], "The batch is empty"),
        ([HEADER[:3], [1, 5, False], [2, 5, False, "beyond"]], "Line 3 has 4 cells, and there are 3 columns"),
        ([["x"], [1]], "Line 1 is not a header row"),
        ([HEADER[:3], [1, 5, False], HEADER[:3]], "Line 3 repeats the header row"),
        ([HEADER[:3], [1, 5, False], ["Total", 1, ""]], "Line 3 is the last one"),
    ],
)
def test_a_bad_table_is_reported_with_its_row(rows: list[Any], words: str) -> None:
    with pytest.raises(BatchRefused, match=words):
        read(rows)
