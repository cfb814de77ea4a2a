"""Workbooks, Parquet, FHIR and text from the disk, as the client reads them."""

import gzip
import importlib
import json
import sys
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.integration.client.workbooks import a_workbook

from carecase_worker.client.row_files import RowFile, items_of_file, lines_of_items
from carecase_worker.client.uploads import reading
from carecase_worker.errors import BatchUnreadable
from carecase_worker.files.episodes import EpisodeMapping
from carecase_worker.files.mapping import NAMES_OF_FIELDS, mapping_of
from carecase_worker.settings.sections.files import FileSettings

TEXT = b"case_Key,carePlan_Key,do_Not_Contact,case_ID\n37,5,false,007\n"
CASES = [{"case_Key": 37, "carePlan_Key": 5, "do_Not_Contact": False, "case_ID": "007"}]


def cases(file: RowFile) -> list[Any]:
    return [json.loads(item) for item in items_of_file(file)]


def test_a_workbook_is_read(tmp_path: Path) -> None:
    header = ["case_Key", "carePlan_Key", "do_Not_Contact", "case_ID"]
    file = a_workbook(tmp_path, [header, [37, 5.0, False, "007"]])
    for source in (file, file.read_bytes(), bytearray(file.read_bytes())):
        assert cases(RowFile(source)) == CASES
    (tmp_path / "no.xlsx").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(BatchUnreadable, match=r"no\.xlsx: is not a readable workbook"):
        cases(RowFile(tmp_path / "no.xlsx"))


def test_blank_rows_at_the_top_of_a_workbook_count_as_its_program_counts_them(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        ["A report"],
        ["case_Key", "carePlan_Key", "do_Not_Contact"],
        [37, 5, False],
        [38, 5, True],
    ]
    mapping = mapping_of(FileSettings.model_validate({"skipped_lines": 4}))
    file = RowFile(a_workbook(tmp_path, rows, first=4), mapping)
    assert [case["case_Key"] for case in cases(file)] == [37, 38]
    assert lines_of_items(file) == ((0, 6),)


def test_a_sheet_of_nothing_is_empty(tmp_path: Path) -> None:
    with pytest.raises(BatchUnreadable, match=r"cases\.xlsx: The batch is empty"):
        cases(RowFile(a_workbook(tmp_path, [])))


@pytest.mark.parametrize(("library", "read"), [("python_calamine", "xlsx"), ("pyarrow", "parquet")])
def test_without_its_library_a_table_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, read: str
) -> None:
    file = a_workbook(tmp_path, []) if read == "xlsx" else parquet_of(tmp_path).source
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    with pytest.raises(BatchUnreadable) as refused:
        cases(RowFile(file))
    assert str(refused.value) == (
        f"{file!s}: workbooks and Parquet need the extra files. Run: pip install 'carecase-client[files]', or"
        " 'carecase-worker[files]'; or save the file as CSV."
    )


def test_parquet_is_read(tmp_path: Path) -> None:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    columns = {"case_Key": [37], "carePlan_Key": [5], "do_Not_Contact": [False], "case_ID": ["007"]}
    parquet.write_table(arrow.table(columns), tmp_path / "cases.parquet")
    assert cases(RowFile(tmp_path / "cases.parquet")) == CASES
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(BatchUnreadable, match=r"no\.parquet: is not a readable Parquet file"):
        cases(RowFile(tmp_path / "no.parquet"))


def parquet_of(place: Path, **columns: Any) -> RowFile:
    """A file of one case with further columns, each an array of Arrow or a list."""
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    plain = {"case_Key": [37], "carePlan_Key": [5], "do_Not_Contact": [False]}
    parquet.write_table(arrow.table(plain | columns), place / "cases.parquet")
    return RowFile(place / "cases.parquet")


def test_values_of_parquet_are_those_that_their_types_mean(tmp_path: Path) -> None:
    arrow = importlib.import_module("pyarrow")
    file = parquet_of(
        tmp_path,
        case_Start_Date=arrow.array([1_767_323_045_123_456_789], arrow.timestamp("ns")),
        case_End_Date=arrow.array([10**18], arrow.timestamp("us")),
        case_Score=arrow.array([Decimal("9.50")]),
        case_ID=arrow.array([b"\xc3\x9c7"]),
        carePlan_Key=arrow.array([Decimal("5.00")]),
    )
    (case,) = cases(file)
    assert isinstance(case.pop("case_End_Date"), str), "no date-time before the year 10000, so a rule refuses it"
    start = "2026-01-02T03:04:05.123456"
    assert case == {**CASES[0], "case_ID": "Ü7", "case_Score": 9.5, "case_Start_Date": start}


def test_dates_and_times_of_parquet_are_texts_as_their_fields_have_them(tmp_path: Path) -> None:
    columns = {
        "case_Start_Date": [date(2026, 1, 5)],
        "case_ID": [time(9, 30)],
        "case_Reason": [timedelta(minutes=90)],
    }
    (case,) = cases(parquet_of(tmp_path, **columns))
    expected = {"case_Start_Date": "2026-01-05T00:00:00Z", "case_ID": "09:30:00", "case_Reason": "1:30:00"}
    assert case == {**CASES[0], **expected}


def test_a_table_of_many_megabytes_is_read_whole_and_in_order(tmp_path: Path) -> None:
    keys = list(range(4000))
    columns = {
        "case_Key": keys,
        "carePlan_Key": [5] * 4000,
        "do_Not_Contact": [False] * 4000,
        "eligibility_Verified_Comment": [f"{key:01000}" for key in keys],
    }
    read = cases(parquet_of(tmp_path, **columns))
    assert [(case["case_Key"], int(case["eligibility_Verified_Comment"])) for case in read] == [(n, n) for n in keys]


@pytest.mark.parametrize("value", [["a"], {"a": 1}, b"\xff"], ids=["list", "structure", "bytes"])
def test_a_value_that_is_no_text_is_refused_unless_its_column_is_ignored(tmp_path: Path, value: Any) -> None:
    """It would be stored as Python writes it."""
    with pytest.raises(BatchUnreadable, match=r"Line 2 has a list, a structure or bytes in column 4\."):
        cases(parquet_of(tmp_path, case_ID=[value]))
    mapping = mapping_of(FileSettings.model_validate({"other_columns": "ignore"}))
    assert cases(RowFile(parquet_of(tmp_path, other=[value], case_ID=["007"]).source, mapping)) == CASES


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    ".gz": ("gzip", gzip.compress),
    ".zst": ("zstd", zstandard.compress),
}


@pytest.mark.parametrize("name", ["cases.csv", "cases.tsv.gz", "cases.tab.zst", "CASES.TAB"])
def test_text_is_sent_as_it_is_unless_its_mapping_is_known_here(tmp_path: Path, name: str) -> None:
    text = TEXT if ".csv" in name else TEXT.replace(b",", b"\t")
    encoding, pack = PACKED.get(Path(name).suffix, (None, bytes))
    (tmp_path / name).write_bytes(pack(text))
    with reading(RowFile(tmp_path / name, "referrals")) as upload:
        kind = "text/csv" if ".csv" in name else "text/tab-separated-values"
        assert (upload.content_type, upload.content_encoding) == (kind, encoding)
        assert (dict(upload.parameters), b"".join(upload.pieces())) == (
            {"mapping": "referrals"},
            (tmp_path / name).read_bytes(),
        )
    with reading(RowFile(tmp_path / name, NAMES_OF_FIELDS)) as upload:
        assert (upload.content_type, json.loads(b"".join(upload.pieces()))) == ("application/json", CASES)


@pytest.mark.parametrize("name", ["cases.tables.csv", "cases.tab.csv.gz", "my.tsvs.txt", "tab.csv"])
def test_a_name_that_only_begins_like_that_of_tabs_is_of_another_file(name: str) -> None:
    assert RowFile(Path(name)).content_type == "text/csv"


def test_episodes_are_read_by_the_mapping_that_is_shipped(tmp_path: Path) -> None:
    (tmp_path / "episodes.ndjson").write_bytes(b'{"resourceType":"EpisodeOfCare","id":"37","status":"active"}\n')
    (case,) = cases(RowFile(tmp_path / "episodes.ndjson", EpisodeMapping().of_care_plan(5)))
    assert (case["case_Key"], case["carePlan_Key"], case["case_Status"]) == (37, 5, "ACTIVE")


def test_a_mapping_of_the_service_is_not_known_here(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_bytes(TEXT)
    with pytest.raises(BatchUnreadable, match="The mapping referrals is the service's"):
        cases(RowFile(tmp_path / "cases.csv", "referrals"))


def test_rows_may_come_from_an_open_file(tmp_path: Path) -> None:
    assert cases(RowFile(BytesIO(TEXT), NAMES_OF_FIELDS)) == cases(RowFile(TEXT, NAMES_OF_FIELDS)) == CASES


def test_a_mapping_of_resources_does_not_read_a_table(tmp_path: Path) -> None:
    file = a_workbook(tmp_path, [["case_Key"], [37]])
    with pytest.raises(BatchUnreadable) as refused:
        cases(RowFile(file, EpisodeMapping()))
    assert str(refused.value) == f"{file}: the mapping is for FHIR resources as NDJSON, and this is a workbook."
