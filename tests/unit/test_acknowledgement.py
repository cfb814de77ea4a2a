"""Rows of an acknowledgement: what a partner's program reads, and what a spreadsheet must not run."""

import csv
from io import StringIO
from typing import Any

import pytest

from carecase_worker.batches.payloads import ChunkOutcomes
from carecase_worker.cases.outcomes import CREATED, UNTRUSTED
from carecase_worker.files.acknowledgement import ItemRow, header, plain, rows
from carecase_worker.intake.jobs.result_formats import CsvResult


def read(*item: ItemRow) -> list[dict[str, Any]]:
    text = (header(True) + rows(item, True)).decode()
    return list(csv.DictReader(StringIO(text, newline="")))


@pytest.mark.parametrize("of_rows", [False, True])
def test_in_a_dry_run_the_last_column_has_the_fields_that_would_change(of_rows: bool) -> None:
    item = ItemRow(0, 1, 200, "Would be updated", "updated", 2, ("case_ID", "case_Status"))
    lines = (header(of_rows, dry_run=True) + rows([item], of_rows)).decode().splitlines()
    assert [line.rpartition(",")[2] for line in lines] == ["changes", "case_ID case_Status"]
    assert len({line.count(",") for line in lines}) == 1
    assert b"changes" not in header(of_rows)


@pytest.mark.parametrize(
    ("item", "field", "rule"),
    [
        (ItemRow(0, 1, 422, "case_Key: is no integer; case_ID: is too long", "failed", 2), "case_Key", "is no integer"),
        (ItemRow(0, 1, 409, "carePlan_Key: is 6 in the database", "failed", 2), "carePlan_Key", "is 6 in the database"),
        (ItemRow(0, None, 422, "item: must be an object", "failed", 2), "item", "must be an object"),
        (ItemRow(0, 1, 409, "Refused by the database: no", "failed", 2), "", "Refused by the database: no"),
        (ItemRow(0, 1, 422, "case_ID: =1+1", "failed", 2), "case_ID", "'=1+1"),
        (ItemRow(0, 1, 500, "case_Key: is broken", "failed", 2), "", ""),
        (ItemRow(0, 1, 409, "Cancelled", "cancelled", 2), "", ""),
        (ItemRow(0, 1, 201, "Created", "created", 2), "", ""),
    ],
)  # fmt: skip
def test_the_first_fault_of_an_item_has_columns_of_its_own(item: ItemRow, field: str, rule: str) -> None:
    (row,) = read(item)
    assert (row["field"], row["rule"], row["line"], row["outcome"]) == (field, rule, "2", item.outcome)


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_is_a_formula_to_a_spreadsheet(sign: str) -> None:
    assert plain(f"{sign}HYPERLINK(A1)") == f"'{sign}HYPERLINK(A1)"
    (row,) = read(ItemRow(0, 1, 422, f"{sign}1", "failed", 2))
    assert row["body"] == row["rule"] == f"'{sign}1"
    assert plain("a=b") == "a=b"


def test_a_row_may_be_about_the_whole_file() -> None:
    (row,) = read(ItemRow(None, None, 400, "Line 2 has 1 cell.", "failed"))
    assert (row["index"], row["case_Key"], row["line"], row["status"]) == ("", "", "", "400")


@pytest.mark.parametrize("of_rows", [False, True])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_result_has_one_header_row_that_fits_its_rows(of_rows: bool, dry_run: bool) -> None:
    result, chunk = CsvResult(dry_run), ChunkOutcomes([1], [CREATED], ((0, 2),) if of_rows else ())
    document = b"".join(result.document("job", (result.whole(first, chunk) for first in range(3))))
    first, *others = document.splitlines(keepends=True)
    assert first == header(of_rows, dry_run)
    assert [line.partition(b",")[0] for line in others] == [b"0", b"1", b"2"]
    assert {line.count(b",") for line in others} == {first.count(b",")}


def test_a_result_without_items_has_its_header_row_all_the_same() -> None:
    assert list(CsvResult().document("job", ())) == [header(of_rows=False)]
    assert list(CsvResult(dry_run=True).document("job", ())) == [header(of_rows=False, dry_run=True)]


ROWS, UNREAD = ChunkOutcomes([1], [CREATED], ((0, 2),)), ChunkOutcomes([None], [UNTRUSTED])


@pytest.mark.parametrize(
    ("chunks", "columns", "lines"), [((ROWS, UNREAD), 8, ["2", ""]), ((UNREAD, ROWS), 4, [None, None])]
)
def test_all_rows_have_the_columns_of_the_header_also_those_of_items_that_could_not_be_read(
    chunks: tuple[ChunkOutcomes, ...], columns: int, lines: list[str | None]
) -> None:
    result = CsvResult()
    pieces = (result.whole(first, chunk) for first, chunk in enumerate(chunks))
    text = b"".join(result.document("job", pieces)).decode()
    assert {len(row) for row in csv.reader(StringIO(text, newline=""))} == {columns}
    assert [row.get("line") for row in csv.DictReader(StringIO(text, newline=""))] == lines
