"""The rows that failed are written as they are in the file that was sent, and read in the same way."""

import csv
import gzip
import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.client.failed_files.originals import (
    FAULT,
    HEADER,
    ROWS,
    array_of,
    failed,
    items,
    job_of,
    made_here,
    mapped,
    of_the_service,
    rewritten,
)
from tests.integration.client.workbooks import a_workbook

from carecase_worker.client.mending.failed_files import usual_path, write_failed
from carecase_worker.client.mending.failed_items import TO_BE_MENDED
from carecase_worker.client.mending.originals import original_of, path_of
from carecase_worker.client.row_files import RowFile
from carecase_worker.client.uploads import items_in
from carecase_worker.errors import BatchUnreadable


def test_rows_that_the_service_made_cases_of_are_found_by_their_lines(tmp_path: Path) -> None:
    text = "\r\n".join([HEADER, *ROWS, ""]).replace("\nc", "\n\nc")
    file = RowFile(tmp_path / "cases.csv.gz")
    path_of(file).write_bytes(gzip.compress(text.encode()))
    original = original_of(file, job_of(text.encode(), 5))
    written = write_failed(original, of_the_service(5, [2, 3, 7, 8, 9], 1, 3), usual_path(file), TO_BE_MENDED)
    assert (written.count, written.path, written.reasons) == (2, tmp_path / "cases.failed.csv", None)
    rows = list(csv.DictReader(written.path.open(newline="")))
    assert [(row["case_Key"], row["case_ID"], row["_index"], row["_line"], row["_reason"]) for row in rows] == [
        ("2", 'a "b",\n\nc', "1", "3", FAULT),
        ("4", "d", "3", "8", FAULT),
    ]
    assert written.path.stat().st_mode & 0o777 == 0o600
    assert items(RowFile(written.path)) == [items(file)[1], items(file)[3]], "columns for notes are ignored"


def test_the_rows_of_a_later_part_of_a_file_are_those_of_its_job(tmp_path: Path) -> None:
    """Else the rows of other cases would be corrected, and sent again."""
    file = RowFile(tmp_path / "rows.csv", mapped())
    (tmp_path / "rows.csv").write_text("\n".join([HEADER, *(f"{key},5,true,{key}" for key in range(1, 7))]))
    part = list(items_in(file))[3:]
    original = original_of(file, job_of(array_of(part), len(part)))
    assert original.first == 3
    assert rewritten(original, failed(0, 2)) == [json.loads(part[0]), json.loads(part[2])]


def test_notes_of_an_earlier_time_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(f"{HEADER}\n" + "\n".join(ROWS))
    first = write_failed(
        original_of(RowFile(tmp_path / "cases.csv"), job_of((tmp_path / "cases.csv").read_bytes(), 5)),
        of_the_service(5, [2, 3, 6, 7, 8], 0, 1, 4),
        tmp_path / "first.csv",
        TO_BE_MENDED,
    )
    again = original_of(RowFile(first.path), job_of(first.path.read_bytes(), 3))
    second = write_failed(again, of_the_service(3, [2, 3, 5], 1), tmp_path / "second.csv", TO_BE_MENDED)
    header, _ = csv.reader(second.path.open(newline=""))
    assert header == [*HEADER.split(","), "_index", "_line", "_status", "_reason"]
    assert items(RowFile(second.path)) == [items(RowFile(tmp_path / "cases.csv"))[1]]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("settings", "text", "suffix"),
    [
        ({"columns": {"Key": "case_Key", "DNC": "do_Not_Contact"}}, "Key,DNC\n1,true\n\n2,no\n3,true", ".csv"),
        (
            {"columns": {"Key": "case_Key", "DNC": "do_Not_Contact"}, "delimiter": ";", "skipped_lines": 2},
            'Report\n"x\nKey;DNC\n1;true\n2;"no;\n;"\n3;true\n',
            ".txt",
        ),
        ({"columns": ["case_Key", "do_Not_Contact"], "skipped_last_lines": 1}, "1,true\n2,no\n3,true\nTotal,3\n", ""),
        ({"fixed": {"case_Key": "1-3", "do_Not_Contact": "4-7"}}, '1  true\n2  n"\n3  "\n', ".txt"),
        (
            {"columns": {"Key": "case_Key", "DNC": "do_Not_Contact"}, "encoding": "utf-16"},
            "Key,DNC\n1,true\n2,näö\n3,true\n",
            ".csv",
        ),
        (
            {"columns": {"Key": "case_Key", "DNC": "do_Not_Contact"}, "encoding": "cp850"},
            "Key,DNC\n1,true\n2,näö\n3,true\n",
            ".csv",
        ),
    ],
)
def test_rows_by_a_mapping_are_written_so_that_it_reads_them(
    tmp_path: Path, settings: dict[str, Any], text: str, suffix: str, ending: str
) -> None:
    mapping = mapped(constants={"carePlan_Key": 5}, **settings)
    file = RowFile(tmp_path / f"cases{suffix}", mapping)
    path_of(file).write_bytes(text.replace("\n", ending).encode(mapping.encoding))
    whole = items(file)
    assert rewritten(made_here(file), failed(1)) == [whole[1]]
    assert rewritten(made_here(file), failed(0, 2), tmp_path / f"more{suffix}") == [whole[0], whole[2]]


def test_reasons_are_in_a_file_beside_where_rows_have_no_place_for_them(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "cases.txt", mapped(columns=["case_Key", "carePlan_Key", "do_Not_Contact"]))
    path_of(file).write_text("1,5,true\n\n2,5,no\n3,5,no\n")
    written = write_failed(made_here(file), failed(1, 2), usual_path(file), TO_BE_MENDED)
    assert written.path.read_text() == "2,5,no\n3,5,no\n"
    assert written.reasons == tmp_path / "cases.failed.txt.reasons.csv"
    assert [list(row.values()) for row in csv.DictReader(written.reasons.open(newline=""))] == [
        ["1", "1", "3", "", "422", FAULT],
        ["2", "2", "4", "", "422", FAULT],
    ]


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("encoding", ["cp850", "utf-8", "utf-16"])
def test_of_a_mapping_that_only_the_service_has_the_bytes_are_left_as_they_are(
    tmp_path: Path, encoding: str, packed: str
) -> None:
    body = 'Bericht\r\nNr;Kürzel\r\n1;ä\r\n2;"ö\r\n"\r\n3;ß\r\nSumme;3\r\n'.encode(encoding)
    file = RowFile(tmp_path / f"cases.csv{packed}", "referrals")
    path_of(file).write_bytes(gzip.compress(body) if packed else body)
    written = write_failed(
        original_of(file, job_of(body, 3)), of_the_service(3, [3, 4, 6], 1), usual_path(file), TO_BE_MENDED
    )
    assert written.path.read_bytes() == 'Bericht\r\nNr;Kürzel\r\n2;"ö\r\n"\r\nSumme;3\r\n'.encode(encoding)
    assert written.reasons is not None


@pytest.mark.parametrize(("name", "mapping"), [("cases.csv", None), ("cases.txt", "members")])
def test_no_reason_is_a_formula_of_a_spreadsheet(tmp_path: Path, name: str, mapping: str | None) -> None:
    """In a column of the rows, or in the file beside: whoever corrects the rows opens both."""
    body = f"{HEADER}\n1,5,no,a\n".encode()
    file = RowFile(tmp_path / name, mapping)
    path_of(file).write_bytes(body)
    (result,) = of_the_service(1, [2], 0)
    written = write_failed(
        original_of(file, job_of(body, 1)), [replace(result, body="=1+1")], usual_path(file), TO_BE_MENDED
    )
    text = (written.reasons or written.path).read_text()
    assert text.splitlines()[-1].endswith(",'=1+1")


def test_a_quote_that_nothing_closes_is_a_character_of_its_line(tmp_path: Path) -> None:
    """Only the service knows that its mapping is for lines of fixed width."""
    body = b'001 5 true 5"\n\n002 5 no   7"\n003 5 true 9"\nTRL003\n'
    file = RowFile(tmp_path / "cases.txt", "members")
    path_of(file).write_bytes(body)
    original = original_of(file, job_of(body, 3))
    written = write_failed(original, of_the_service(3, [1, 3, 4], 1), usual_path(file), TO_BE_MENDED)
    assert written.path.read_bytes() == b'002 5 no   7"\nTRL003\n'


@pytest.mark.parametrize("form", ["workbook", "parquet"])
def test_rows_of_tables_that_are_no_text_become_csv(tmp_path: Path, form: str) -> None:
    header, rows = (
        ["Key", "DNC", "Name", "Score"],
        [[1, "true", "007", 1.5], [2, "no", 'a "b", c', 7.0], [3, "x", "d", 0.25]],
    )
    mapping = mapped(
        columns={"Key": "case_Key", "DNC": "do_Not_Contact", "Name": "case_ID", "Score": "case_Score"},
        constants={"carePlan_Key": 5},
        decimal=",",
        delimiter=";",
        skipped_lines=1 if form == "workbook" else 0,
    )
    if form == "workbook":
        file = RowFile(a_workbook(tmp_path, [["A report;\nof two lines"], header, *rows]), mapping)
    else:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
        columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
        parquet.write_table(arrow.table(columns), tmp_path / "cases.parquet")
        file = RowFile(tmp_path / "cases.parquet", mapping)
    assert usual_path(file) == tmp_path / "cases.failed.csv"
    whole = items(file)
    assert rewritten(made_here(file), failed(1, 2)) == whole[1:]
    (_, row) = list(csv.reader((tmp_path / "cases.failed.csv").open(newline=""), delimiter=";"))[-2:]
    assert row[5] == ("5" if form == "workbook" else "4"), "the number of its row"


def test_rows_are_not_guessed_for_a_job_that_has_no_line_numbers(tmp_path: Path) -> None:
    """As jobs of an earlier version: another row could be written in place of the one that failed."""
    body = f"{HEADER}\n1,5,no,a\n".encode()
    file = RowFile(tmp_path / "cases.csv")
    path_of(file).write_bytes(body)
    with pytest.raises(BatchUnreadable, match=r"The job has no line numbers.* Send the file again\."):
        write_failed(original_of(file, job_of(body, 1)), failed(0), usual_path(file), TO_BE_MENDED)
    assert [one.name for one in tmp_path.iterdir()] == ["cases.csv"], "nothing is half written"


def test_rows_with_characters_that_the_mapping_cannot_write_are_refused_without_them(tmp_path: Path) -> None:
    """A workbook may hold any; a mapping of one, with an encoding, writes CSV that it reads again."""
    settings = {"columns": {"Key": "case_Key", "DNC": "do_Not_Contact", "Name": "case_ID"}, "encoding": "windows-1252"}
    file = RowFile(
        a_workbook(tmp_path, [["Key", "DNC", "Name"], [1, "no", "Dvořák"]]),
        mapped(constants={"carePlan_Key": 5}, **settings),
    )
    with pytest.raises(BatchUnreadable) as refused:
        write_failed(made_here(file), failed(0), usual_path(file), TO_BE_MENDED)
    assert str(refused.value) == (
        f"{tmp_path / 'cases.xlsx'}: has characters that windows-1252, the mapping's encoding, lacks. Correct the rows"
        " in that file itself, or change the encoding."
    )
    assert [one.name for one in tmp_path.iterdir()] == ["cases.xlsx"], "nothing is half written"


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)


@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=6),
    chosen=st.sets(st.integers(0, 5)),
    delimiter=st.sampled_from([",", ";", "\t"]),
)
def test_whatever_is_in_the_cells_it_is_the_same_item(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], chosen: set[int], delimiter: str
) -> None:
    place = tmp_path_factory.mktemp("rows")
    mapping = mapped(
        columns={"Key": "case_Key", "Name": "case_ID", "More": "case_Reason"},
        constants={"carePlan_Key": 5, "do_Not_Contact": False},
        delimiter=delimiter,
    )
    with (place / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["Key", "Name", "More"], *([str(key), *row] for key, row in enumerate(rows))])
    original = made_here(RowFile(place / "cases.csv", mapping))
    indices = sorted(index for index in chosen if index < len(rows))
    if indices:
        whole = items(original.file)
        assert rewritten(original, failed(*indices)) == [whole[index] for index in indices]
