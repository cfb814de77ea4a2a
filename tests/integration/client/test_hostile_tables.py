"""Workbooks and Parquet files of a kilobyte that ask for any amount of memory are refused, and nobody dies."""

import importlib
import re
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import psutil
import pytest
from tests.acceptance.system import eventually

from carecase_worker.client.files import table_process
from carecase_worker.client.files.table_process import MOST_CPU_S, MOST_MEMORY_BYTES
from carecase_worker.client.row_files import RowFile, items_of_file
from carecase_worker.errors import BatchUnreadable

SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
NAMES = ("case_Key", "carePlan_Key", "do_Not_Contact")
HEADER = "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in NAMES)
ROW = '<c><v>1</v></c><c><v>5</v></c><c t="b"><v>1</v></c>'
CORNER = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'


def a_workbook(path: Path, rows: str) -> Path:
    """The smallest workbook that there is."""
    workbook = (
        f'<workbook xmlns="{SHEETS}" xmlns:r="{RELATIONS}"><sheets><sheet name="S" sheetId="1" r:id="a"/></sheets>'
        "</workbook>"
    )
    relation = '<Relationships xmlns="{}"><Relationship Id="a" Type="{}/{}" Target="{}"/></Relationships>'
    with ZipFile(path, "w", ZIP_DEFLATED) as file:
        file.writestr("_rels/.rels", relation.format(PACKAGE, RELATIONS, "officeDocument", "xl/workbook.xml"))
        file.writestr("xl/workbook.xml", workbook)
        sheet = relation.format(PACKAGE, RELATIONS, "worksheet", "worksheets/sheet1.xml")
        file.writestr("xl/_rels/workbook.xml.rels", sheet)
        file.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{SHEETS}"><sheetData><row r="1">{HEADER}</row>{rows}</sheetData></worksheet>',
        )
    return path


def test_the_workbook_of_these_tests_is_one(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "good.xlsx", f'<row r="2">{ROW}</row>')
    expected = [b'{"case_Key":1,"carePlan_Key":5,"do_Not_Contact":true}']
    assert list(items_of_file(RowFile(path))) == expected
    assert list(items_of_file(RowFile(path.read_bytes()))) == expected or not RowFile(path.read_bytes()).is_table


def test_a_sheet_with_cells_in_opposite_corners_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = a_workbook(tmp_path / "corner.xlsx", CORNER)
    assert path.stat().st_size < 2048
    with pytest.raises(BatchUnreadable, match=r"corner\.xlsx: needs more than 4 GiB of memory"):
        list(items_of_file(RowFile(path)))
    assert capfd.readouterr() == ("", ""), "what a library says of a file as it ends may quote cells"


def test_a_long_text_that_many_rows_refer_to_is_refused(tmp_path: Path) -> None:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    path, rows = tmp_path / "long.parquet", 1000
    text = "A" * (MOST_MEMORY_BYTES // rows * 2)
    columns = {name: [1] * rows for name in NAMES[:2]} | {NAMES[2]: [True] * rows}
    columns["case_ID"] = arrow.DictionaryArray.from_arrays(arrow.array([0] * rows, arrow.int32()), arrow.array([text]))
    parquet.write_table(arrow.table(columns), path)
    assert path.stat().st_size < len(text) / 10
    with pytest.raises(BatchUnreadable, match=r"long\.parquet: (needs more than|has a row)"):
        list(items_of_file(RowFile(path)))


def test_a_row_that_is_larger_than_any_case_is_refused(tmp_path: Path) -> None:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    columns = {NAMES[0]: [1], NAMES[1]: [5], NAMES[2]: [True], "case_ID": ["A" * (16 << 20)]}
    parquet.write_table(arrow.table(columns), tmp_path / "large.parquet")
    with pytest.raises(BatchUnreadable) as refused:
        list(items_of_file(RowFile(tmp_path / "large.parquet")))
    text = "has a row that is too large for a case. Remove what is not a case, or save the file as CSV."
    assert str(refused.value) == f"{tmp_path / 'large.parquet'}: {text}"


def test_a_reader_that_is_killed_within_its_rows_ends_the_file_and_not_the_command(tmp_path: Path) -> None:
    """As the machine does when its memory is full. What was read until then must not pass for the whole file."""
    path = a_workbook(tmp_path / "killed.xlsx", f"<row>{ROW}</row>" * 300_000)
    items = items_of_file(RowFile(path))
    assert next(items)
    (reader,) = (psutil.Process(pid) for pid in readers())
    eventually(lambda: reader.status() == psutil.STATUS_SLEEPING, what="it waits for whoever reads its rows")
    reader.kill()
    with pytest.raises(BatchUnreadable, match=r"killed\.xlsx: needs more than 4 GiB of memory, or 900 seconds"):
        list(items)


def damaged(path: Path, mark: bytes, beyond: int = 0) -> Path:
    """A file with other bytes where a mark is last, or beyond it, as after a disk or a transfer has failed."""
    content = path.read_bytes()
    place = content.rindex(mark) + beyond
    path.write_bytes(content[:place] + b"\xff" * 4 + content[place + 4 :])
    return path


def test_a_file_that_is_damaged_is_not_readable(tmp_path: Path) -> None:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    columns = {NAMES[0]: [1], NAMES[1]: [5], NAMES[2]: [True], "case_ID": ["mine"]}
    parquet.write_table(arrow.table(columns), tmp_path / "rows.parquet", compression="gzip")
    workbook = a_workbook(tmp_path / "rows.xlsx", f'<row r="2">{ROW}</row>')
    for path in (damaged(tmp_path / "rows.parquet", b"\x1f\x8b"), damaged(workbook, b"PK\5\6", beyond=12)):
        with pytest.raises(BatchUnreadable, match="is not a readable"):
            list(items_of_file(RowFile(path)))


def test_a_workbook_without_sheets_is_refused(tmp_path: Path) -> None:
    path, empty = a_workbook(tmp_path / "some.xlsx", ""), tmp_path / "empty.xlsx"
    with ZipFile(path) as some, ZipFile(empty, "w") as file:
        for name in some.namelist():
            text = some.read(name).decode()
            file.writestr(name, re.sub(r"<sheet .*?/>|<Relationship .*sheet1.xml\"/>", "", text))
    with pytest.raises(BatchUnreadable, match=r"empty\.xlsx: is not a readable workbook"):
        list(items_of_file(RowFile(empty)))


def test_an_old_workbook_is_known_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "cases.txt"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    assert RowFile(path).kind == RowFile(path.read_bytes()).kind == "a workbook"
    with pytest.raises(BatchUnreadable, match=r"cases\.txt: .*workbook"):
        list(items_of_file(RowFile(path)))


def test_who_stops_reading_leaves_no_process(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "long.xlsx", f"<row>{ROW}</row>" * 100_000)
    items = items_of_file(RowFile(path))
    assert next(items)
    assert len(readers()) == 1
    items.close()  # type: ignore[attr-defined]  # a generator
    assert readers() == []


def test_a_reader_has_so_much_memory_and_time_and_leaves_no_core(tmp_path: Path) -> None:
    """Where there is memory for all that a file asks for, nothing else would refuse it; a core is full of cases."""
    path = a_workbook(tmp_path / "long.xlsx", f"<row>{ROW}</row>" * 100_000)
    items = items_of_file(RowFile(path))
    assert next(items)
    try:
        (reader,) = map(psutil.Process, readers())
        limits = [reader.rlimit(which) for which in (psutil.RLIMIT_AS, psutil.RLIMIT_CPU, psutil.RLIMIT_CORE)]
    finally:
        items.close()  # type: ignore[attr-defined]  # a generator
    assert limits == [(MOST_MEMORY_BYTES, MOST_MEMORY_BYTES), (MOST_CPU_S, MOST_CPU_S), (0, 0)]


def readers() -> list[int]:
    """The processes that this one has started to read files."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if table_process.__file__ in child.cmdline():
                found.append(child.pid)
    return found
