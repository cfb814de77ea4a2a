"""Workbooks, Parquet, FHIR and text from the disk, as the client reads them."""

import gzip
import importlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from carecase_worker.client.row_files import RowFile, items_of_file
from carecase_worker.client.uploads import reading
from carecase_worker.errors import BatchUnreadable
from carecase_worker.files.episodes import EpisodeMapping
from carecase_worker.files.mapping import NAMES_OF_FIELDS

TEXT = b"case_Key,carePlan_Key,do_Not_Contact,case_ID\n37,5,false,007\n"
CASES = [{"case_Key": 37, "carePlan_Key": 5, "do_Not_Contact": False, "case_ID": "007"}]
TYPES = "http://schemas.openxmlformats.org"
PARTS = {
    "[Content_Types].xml": f"""<Types xmlns="{TYPES}/package/2006/content-types">
 <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
 <Default Extension="xml" ContentType="application/xml"/>
 <Override PartName="/xl/workbook.xml"
  ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>""",
    "_rels/.rels": f"""<Relationships xmlns="{TYPES}/package/2006/relationships"><Relationship Id="r1"
 Type="{TYPES}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>""",
    "xl/workbook.xml": f"""<workbook xmlns="{TYPES}/spreadsheetml/2006/main"
 xmlns:r="{TYPES}/officeDocument/2006/relationships"><sheets><sheet name="Cases" sheetId="1" r:id="r1"/></sheets>
</workbook>""",
    "xl/_rels/workbook.xml.rels": f"""<Relationships xmlns="{TYPES}/package/2006/relationships"><Relationship Id="r1"
 Type="{TYPES}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>""",
}


def cell(value: Any) -> str:
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t>{value}</t></is></c>'


def a_workbook(place: Path, rows: list[list[Any]]) -> Path:
    """A workbook with one sheet, as Office Open XML has it."""
    lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    sheet = f'<worksheet xmlns="{TYPES}/spreadsheetml/2006/main"><sheetData>{lines}</sheetData></worksheet>'
    with zipfile.ZipFile(place / "cases.xlsx", "w") as packed:
        for name, part in (PARTS | {"xl/worksheets/sheet1.xml": sheet}).items():
            packed.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>\n{part}')
    return place / "cases.xlsx"


def cases(file: RowFile) -> list[Any]:
    return [json.loads(item) for item in items_of_file(file)]


def test_a_workbook_is_read(tmp_path: Path) -> None:
    header = ["case_Key", "carePlan_Key", "do_Not_Contact", "case_ID"]
    assert cases(RowFile(a_workbook(tmp_path, [header, [37, 5.0, False, "007"]]))) == CASES
    (tmp_path / "no.xlsx").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(BatchUnreadable, match=r"no\.xlsx: is not a readable workbook"):
        cases(RowFile(tmp_path / "no.xlsx"))


def test_parquet_is_read(tmp_path: Path) -> None:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    columns = {"case_Key": [37], "carePlan_Key": [5], "do_Not_Contact": [False], "case_ID": ["007"]}
    parquet.write_table(arrow.table(columns), tmp_path / "cases.parquet")
    assert cases(RowFile(tmp_path / "cases.parquet")) == CASES
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(BatchUnreadable, match=r"no\.parquet: is not a readable Parquet file"):
        cases(RowFile(tmp_path / "no.parquet"))


@pytest.mark.parametrize("name", ["cases.csv", "cases.tsv.gz"])
def test_text_is_sent_as_it_is_unless_its_mapping_is_known_here(tmp_path: Path, name: str) -> None:
    text = TEXT.replace(b",", b"\t") if ".tsv" in name else TEXT
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    with reading(RowFile(tmp_path / name, "referrals")) as upload:
        kind, encoding = ("text/tab-separated-values", "gzip") if ".tsv" in name else ("text/csv", None)
        assert (upload.content_type, upload.content_encoding) == (kind, encoding)
        assert (dict(upload.parameters), b"".join(upload.pieces())) == (
            {"mapping": "referrals"},
            (tmp_path / name).read_bytes(),
        )
    with reading(RowFile(tmp_path / name, NAMES_OF_FIELDS)) as upload:
        assert (upload.content_type, json.loads(b"".join(upload.pieces()))) == ("application/json", CASES)


def test_episodes_are_read_by_the_mapping_that_is_shipped(tmp_path: Path) -> None:
    (tmp_path / "episodes.ndjson").write_bytes(b'{"resourceType":"EpisodeOfCare","id":"37","status":"active"}\n')
    (told,) = cases(RowFile(tmp_path / "episodes.ndjson", EpisodeMapping().of_care_plan(5)))
    assert (told["case_Key"], told["carePlan_Key"], told["case_Status"]) == (37, 5, "ACTIVE")


def test_a_mapping_of_the_service_is_not_known_here(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_bytes(TEXT)
    with pytest.raises(BatchUnreadable, match="The mapping referrals is the service's"):
        cases(RowFile(tmp_path / "cases.csv", "referrals"))
