"""Cells of workbooks that are not empty and have no value: errors, and formulas that were never calculated."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.client.workbooks import a_workbook

from carecase_worker.client.row_files import RowFile, items_of_file
from carecase_worker.errors import BatchUnreadable
from carecase_worker.files.mapping import NAMES_OF_FIELDS, FileMapping, mapping_of
from carecase_worker.files.refusals import FileFault
from carecase_worker.settings.sections.files import FileSettings

HEADER = ["case_Key", "carePlan_Key", "do_Not_Contact", "case_ID"]
NOT_FOUND = '<c t="e"><f>VLOOKUP(A2,Other!A:B,2,0)</f><v>#N/A</v></c>'
NOT_CALCULATED = "<c><f>VLOOKUP(A2,Other!A:B,2,0)</f></c>"
ADVICE = (
    "has an error, such as #N/A, or a formula without a result in column 4. Correct it in the workbook and save it"
    " there; or empty the cell, or put the error's text into null_tokens in the mapping, if it means null."
)


def cases(file: Path, mapping: FileMapping | None = None) -> list[Any]:
    return [json.loads(item) for item in items_of_file(RowFile(file, mapping))]


def mapping_with(**settings: Any) -> FileMapping:
    mapping = mapping_of(FileSettings.model_validate(settings))
    assert isinstance(mapping, FileMapping)
    return mapping


@pytest.mark.parametrize(
    "cell",
    [
        NOT_FOUND,
        "<c t='e'><v>#DIV/0!</v></c>",
        '<c s="1" t="e" r="D3"><v>#REF!</v></c>',
        NOT_CALCULATED,
        '<c><f t="shared" si="0"/><v></v></c>',
        '<c t="n"><f>1/3</f><v/></c>',
    ],
)
def test_a_cell_without_its_value_is_not_taken_for_an_empty_one(tmp_path: Path, cell: str) -> None:
    """The value that is stored for the case would become null, and the item would be answered with 200."""
    file = a_workbook(tmp_path, [HEADER, [37, 5, False, "007"], [38, 5, False, cell]])
    with pytest.raises(BatchUnreadable) as refused:
        cases(file)
    assert str(refused.value) == f"{file}: Line 3 {ADVICE}"


@pytest.mark.parametrize(
    "cell", ["", '<c r="D3"/>', '<c t="str"><f>IF(A2=1,"x","")</f><v></v></c>', '<c t="str"><f>""</f></c>']
)
def test_an_empty_cell_is_null_and_so_is_a_formula_with_an_empty_text(tmp_path: Path, cell: str) -> None:
    (case,) = cases(a_workbook(tmp_path, [HEADER, [38, 5, False, cell]]))
    assert case.get("case_ID") is None


def test_a_formula_with_a_result_is_its_result(tmp_path: Path) -> None:
    row = [38, "<c><f>2+3</f><v>5</v></c>", '<c t="b"><f>FALSE()</f><v>0</v></c>', '<c t="str"><f>A2</f><v>007</v></c>']
    expected = {"case_Key": 38, "carePlan_Key": 5, "do_Not_Contact": False, "case_ID": "007"}
    assert cases(a_workbook(tmp_path, [HEADER, row])) == [expected]


def test_each_faulty_row_is_reported_by_its_number(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        HEADER,
        [37, 5, False, NOT_FOUND],
        [38, 5, False, "007"],
        [],
        [39, 5, False, NOT_CALCULATED],
    ]
    faults: list[FileFault] = []
    items = list(items_of_file(RowFile(a_workbook(tmp_path, rows)), faults.append))
    assert [fault.line for fault in faults] == [2, 5]
    assert [json.loads(item)["case_Key"] for item in items] == [38]


def test_rows_of_nothing_but_formulas_at_the_end_are_not_left_out(tmp_path: Path) -> None:
    rows: list[list[Any]] = [HEADER, [37, 5, False, "007"], [], [NOT_CALCULATED] * 4]
    with pytest.raises(BatchUnreadable, match=r"Line 4 has an error, such as #N/A, or a formula without a result"):
        cases(a_workbook(tmp_path, rows, first=1))


def test_an_error_that_the_mapping_takes_for_null_is_null(tmp_path: Path) -> None:
    mapping = mapping_with(null_tokens=["", "#N/A"])
    (case,) = cases(a_workbook(tmp_path, [HEADER, [37, 5, False, NOT_FOUND]]), mapping)
    assert (case["case_Key"], case.get("case_ID")) == (37, None)
    with pytest.raises(BatchUnreadable, match=r"Line 2 has an error"):
        cases(a_workbook(tmp_path, [HEADER, [37, 5, False, '<c t="e"><v>#REF!</v></c>']]), mapping)


def test_an_error_in_a_column_that_is_ignored_refuses_nothing(tmp_path: Path) -> None:
    rows: list[list[Any]] = [[*HEADER, "other"], [37, 5, False, "007", NOT_FOUND]]
    (case,) = cases(a_workbook(tmp_path, rows), mapping_with(other_columns="ignore"))
    assert case["case_ID"] == "007"


def test_columns_are_counted_from_the_first_that_is_used(tmp_path: Path) -> None:
    header = [
        f'<c r="{column}1" t="inlineStr"><is><t>{name}</t></is></c>'
        for column, name in zip("BCDE", HEADER, strict=True)
    ]
    row = [
        '<c r="B2"><v>37</v></c>',
        '<c r="C2"><v>5</v></c>',
        '<c r="D2" t="b"><v>0</v></c>',
        '<c r="E2" t="e"><v>#N/A</v></c>',
    ]
    with pytest.raises(BatchUnreadable, match=r"Line 2 has an error, such as #N/A, .* in column 4\."):
        cases(a_workbook(tmp_path, [header, row]), NAMES_OF_FIELDS)


def test_a_sheet_that_is_broken_off_after_an_error_is_no_workbook(tmp_path: Path) -> None:
    """The library for workbooks reads it as far as it goes."""
    broken_off = "<c t='e'><v>#N/A</v></c></row></sheetData><"
    file = a_workbook(tmp_path, [HEADER, [37, 5, False, broken_off]])
    with pytest.raises(BatchUnreadable, match="is not a readable workbook"):
        cases(file)
