"""Workbooks of a few rows."""

import zipfile
from pathlib import Path
from typing import Any

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
    if isinstance(value, str) and value.startswith("<c"):
        return value
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t>{value}</t></is></c>'


def a_workbook(place: Path, rows: list[list[Any]], first: int = 1) -> Path:
    """A workbook with one sheet, as Office Open XML has it; `first` is the number of the first row that it has.

    A text that is an element `c` is a cell as it stands.
    """
    numbered = enumerate(rows, start=first)
    lines = "".join(f'<row r="{number}">{"".join(map(cell, row))}</row>' for number, row in numbered)
    sheet = f'<worksheet xmlns="{TYPES}/spreadsheetml/2006/main"><sheetData>{lines}</sheetData></worksheet>'
    with zipfile.ZipFile(place / "cases.xlsx", "w") as packed:
        for name, part in (PARTS | {"xl/worksheets/sheet1.xml": sheet}).items():
            packed.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>\n{part}')
    return place / "cases.xlsx"
