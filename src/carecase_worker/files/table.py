"""Conversion of one file's rows to items: header, checks, and items."""

from collections.abc import Callable, Sequence
from itertools import repeat
from operator import itemgetter
from sys import getsizeof
from typing import Any

import msgspec

from carecase_worker.batches.line_numbers import NumberedItems
from carecase_worker.cases.care_case import FIELD, KEY
from carecase_worker.files.cells import converter
from carecase_worker.files.header import Column, columns_of
from carecase_worker.files.mapping import FileMapping
from carecase_worker.files.records import Records
from carecase_worker.files.refusals import FileFault, another_header, ragged, refuse, repeated_header, total

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
        self._names: list[str] = []
        self._width = 0
        self._buffered = Records([], [])
        self._columns: list[Column] = []
        self._key: int | None = None
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
    def places(self) -> Sequence[int]:
        """The places of the mapped columns in a row."""
        return [column.place for column in self._columns]

    @property
    def buffered_bytes(self) -> int:
        """Bytes of buffered last rows, which may not be cases."""
        return sum(getsizeof(cell) for row in self._buffered.rows for cell in row)

    def take_header(self, cells: Sequence[str], line: int) -> None:
        """Read the header row. Raises BatchRefused if it does not fit the mapping."""
        self._header, self._names = list(cells), list(map(_name, cells))
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
        if self._last is None or self._key is None:
            return
        row, line = self._last
        if not row[self._key].strip().lstrip("+-").isdecimal() and any(map(_is_total, row)):
            self._report(total(line))

    def _take_columns(self, columns: Sequence[Column], width: int) -> None:
        self._width = width
        self._columns = list(columns)
        self._key = next((column.place for column in columns if column.field == KEY), None)
        self._converters = [converter(FIELD[column.field], self._mapping.forms) for column in columns]
        names = [*(column.field for column in columns), *self._mapping.constants]
        self._item = msgspec.defstruct("Row", [(name, Any, None) for name in names], omit_defaults=True, gc=False)

    def _hold(self, records: Records) -> Records:
        """Return the rows that can no longer be the last ones; buffer the others."""
        most = self._mapping.skipped_last_lines
        rows, lines = [*self._buffered.rows, *records.rows], [*self._buffered.lines, *records.lines]
        self._buffered = Records(rows[-most:], lines[-most:])
        return Records(rows[:-most], lines[:-most])

    def _valid_rows(self, records: Records) -> Records:
        """Return the rows with one cell per column; report the others, and further header rows."""
        rows, lines = records.rows, records.lines
        if all(length == self._width for length in set(map(len, rows))) and not self._may_have_headers(rows):
            return records
        kept_rows, kept_lines = [], []
        for row, line in zip(rows, lines, strict=True):
            if (fault := self._fault_of(row, line)) is not None:
                self._report(fault)
            else:
                kept_rows.append(row)
                kept_lines.append(line)
        return Records(kept_rows, kept_lines)

    def _may_have_headers(self, rows: Sequence[Sequence[str]]) -> bool:
        """Return whether a header row may be among rows of the right width; fast if every key is a number."""
        if self._header is None or self._key is None or self._header[self._key].isdecimal():
            return self._header in rows
        return not "".join(map(itemgetter(self._key), rows)).isdecimal()

    def _fault_of(self, row: Sequence[str], line: int) -> FileFault | None:
        if self._header is not None:
            key = "" if self._key is None or self._key >= len(row) else _name(row[self._key])
            if not key.isdecimal() or key in self._names:
                if list(map(_name, row)) == self._names:
                    return repeated_header(line)
                if not key.isdecimal() and self._mapping.field_of(key):
                    return another_header(line)
        return None if len(row) == self._width else ragged(line, len(row), self._width)


def _name(cell: str) -> str:
    return cell.strip().lower()


def _is_total(cell: str) -> bool:
    return cell.strip().casefold().startswith(_TOTALS)
