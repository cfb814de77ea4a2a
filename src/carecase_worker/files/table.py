"""Conversion of one file's rows to items: header, checks, and items."""

from collections.abc import Callable, Sequence
from itertools import repeat
from sys import getsizeof
from typing import Any

import msgspec

from carecase_worker.batches.line_numbers import NumberedItems
from carecase_worker.cases.care_case import FIELD, KEY
from carecase_worker.files.cells import converter
from carecase_worker.files.header import Column, columns_of
from carecase_worker.files.mapping import FileMapping
from carecase_worker.files.records import Records
from carecase_worker.files.refusals import FileFault, ragged, refuse, repeated_header, total

_encoder = msgspec.json.Encoder()
_TOTALS = ("total", "sum", "count", "trailer", "summe", "subtotal", "trl", "footer", "records", "rows", "end of file")

Report = Callable[[FileFault], None]
"""A callback for each fault of the file; if it returns, the row is left out."""


class Table:
    """A file being read row by row; only the last rows, which may not be cases, are buffered."""

    def __init__(self, mapping: FileMapping, report: Report = refuse) -> None:
        self._mapping = mapping
        self._report = report
        self._header: list[str] | None = None
        self._width = 0
        self._held = Records([], [])
        self._columns: list[Column] = []
        self._converters: list[Callable[[Sequence[str]], Sequence[Any]]] = []
        self._item: Any = None
        self._last: tuple[Sequence[str], int] | None = None
        if mapping.in_order or mapping.places:
            fields = mapping.in_order or tuple(mapping.places)
            self._take_columns([Column(place, name) for place, name in enumerate(fields) if name], len(fields))

    @property
    def is_open(self) -> bool:
        """True once the columns are known."""
        return self._item is not None

    @property
    def width(self) -> int:
        """The number of columns; 0 until they are known."""
        return self._width

    @property
    def buffered_bytes(self) -> int:
        """Bytes of buffered last rows, which may not be cases."""
        return sum(getsizeof(cell) for row in self._held.rows for cell in row)

    def take_header(self, cells: Sequence[str], line: int) -> None:
        """Read the header row. Raises BatchRefused if it does not fit the mapping."""
        self._header = list(cells)
        self._take_columns(columns_of(self._mapping, cells, line), len(cells))

    def items(self, records: Records) -> NumberedItems:
        """Return the items of the next rows."""
        if self._mapping.skipped_last_lines:
            records = self._hold(records)
        records = self._valid_rows(records)
        if not records.rows:
            return NumberedItems((), ())
        self._last = records.rows[-1], records.lines[-1]
        cells = list(zip(*records.rows, strict=True))
        values = [convert(cells[column.place]) for column, convert in zip(self._columns, self._converters, strict=True)]
        made = map(self._item, *values, *map(repeat, self._mapping.constants.values()))
        texts = _encoder.encode_lines(list(made)).split(b"\n")
        texts.pop()
        return NumberedItems(map(msgspec.Raw, texts), records.lines)

    def finish(self) -> None:
        """Report a last row that is a total."""
        key = next((column.place for column in self._columns if column.field == KEY), None)
        if self._last is None or key is None:
            return
        row, line = self._last
        if not row[key].strip().lstrip("+-").isdecimal() and any(map(_is_total, row)):
            self._report(total(line))

    def _take_columns(self, columns: Sequence[Column], width: int) -> None:
        self._width = width
        self._columns = list(columns)
        self._converters = [converter(FIELD[column.field], self._mapping.forms) for column in columns]
        names = [*(column.field for column in columns), *self._mapping.constants]
        self._item = msgspec.defstruct("Row", [(name, Any, None) for name in names], omit_defaults=True, gc=False)

    def _hold(self, records: Records) -> Records:
        """Return the rows that can no longer be the last ones; buffer the others."""
        most = self._mapping.skipped_last_lines
        rows, lines = [*self._held.rows, *records.rows], [*self._held.lines, *records.lines]
        self._held = Records(rows[-most:], lines[-most:])
        return Records(rows[:-most], lines[:-most])

    def _valid_rows(self, records: Records) -> Records:
        """Return the rows with one cell per column; report the others, and repeated header rows."""
        rows, lines = records.rows, records.lines
        is_even = all(length == self._width for length in set(map(len, rows)))
        if is_even and (self._header is None or self._header not in rows):
            return records
        kept_rows, kept_lines = [], []
        for row, line in zip(rows, lines, strict=True):
            if len(row) != self._width:
                self._report(ragged(line, len(row), self._width))
            elif self._header is not None and list(row) == self._header:
                self._report(repeated_header(line))
            else:
                kept_rows.append(row)
                kept_lines.append(line)
        return Records(kept_rows, kept_lines)


def _is_total(cell: str) -> bool:
    return cell.strip().casefold().startswith(_TOTALS)
