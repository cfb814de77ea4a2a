"""Conversion of tables with typed values, such as workbooks and Parquet files, to cells and items."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import islice

import msgspec

from carecase_worker.batches.faults import empty
from carecase_worker.files.mapping import FileMapping
from carecase_worker.files.records import Records
from carecase_worker.files.refusals import FileFault, error_cell, no_cell, refusal, refuse
from carecase_worker.files.table import Report, Table

_ROWS_AT_ONCE = 500

Row = Sequence[object]


def items_of_rows(rows: Iterable[Row], mapping: FileMapping, report: Report = refuse) -> Iterator[list[msgspec.Raw]]:
    """Yield the items of a table, some at a time; row numbers, from 1, are its lines. Raises BatchRefused."""
    if mapping.places:
        raise refusal("The mapping is for lines of fixed width. Use one with columns for this file.")
    faulty: list[int] = []

    def report_once(fault: FileFault) -> None:
        faulty.append(fault.line)
        report(fault)

    table, numbered = Table(mapping, report_once), enumerate(rows, start=1)
    _take_header(numbered, mapping, table)
    given = 0
    for records in _records(numbered, mapping, table, report_once):
        items = table.items(records)
        given += len(items)
        yield items
    if not given and not faulty:
        raise empty()
    table.finish()


def _take_header(numbered: Iterator[tuple[int, Row]], mapping: FileMapping, table: Table) -> None:
    """Skip the rows before the header row and read that, if the mapping has one. Raises BatchRefused."""
    for _ in islice(numbered, mapping.skipped_lines):
        pass
    while not table.is_open:
        line, header = next(numbered, (0, ()))
        if not line:
            raise empty()
        if cells := trimmed(cells_of(header, mapping)):
            table.take_header(cells, line)


def _records(
    numbered: Iterator[tuple[int, Row]], mapping: FileMapping, table: Table, report: Report
) -> Iterator[Records]:
    """Yield the nonblank rows, some at a time."""
    while some := list(islice(numbered, _ROWS_AT_ONCE)):
        readable = [(line, row) for line, row in some if _is_readable(row, line, table, mapping, report)]
        kept = [(line, cells) for line, row in readable if any(cells := cells_of(row, mapping))]
        yield Records([fitted(cells, table.width) for _, cells in kept], [line for line, _ in kept])


def _is_readable(row: Row, line: int, table: Table, mapping: FileMapping, report: Report) -> bool:
    """Return whether each mapped value of a row is a number, truth, text or null; report the first that is not.

    A list is none of them; one with a text is an error of that name, which the mapping may take for null.
    """
    if list not in map(type, row):
        return True
    for place in table.places:
        match row[place] if place < len(row) else None:
            case []:
                report(no_cell(line, place + 1))
                return False
            case [error] if error not in mapping.forms.nulls:
                report(error_cell(line, place + 1))
                return False
    return True


def cells_of(row: Row, mapping: FileMapping) -> list[str]:
    """Return the cells of a row as texts, none for a blank row; null becomes a null token of the mapping."""
    if all(value is None or value == "" for value in row):
        return []
    return [_text(value, mapping) for value in row]


def trimmed(cells: list[str]) -> list[str]:
    """Remove empty cells at the end: a workbook's table may be wider than its header row."""
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def fitted(cells: list[str], width: int) -> list[str]:
    """Return a row with exactly `width` cells: without empty ones at the end, padded with empty ones."""
    return [*trimmed(cells), *[""] * width][: max(width, len(trimmed(cells)))]


def _text(value: object, mapping: FileMapping) -> str:
    match value:
        case None | list():
            return "" if "" in mapping.forms.nulls else min(mapping.forms.nulls, default="")
        case bool():
            return next(iter(mapping.forms.truths if value else mapping.forms.falsehoods), str(value).lower())
        case float():
            return _decimal(value).replace(".", mapping.forms.decimal)
        case datetime():
            return value.isoformat()
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _decimal(value: float) -> str:
    """Format a number without a zero fraction: workbooks store whole numbers as 37.0."""
    return str(int(value)) if value.is_integer() else repr(value)
