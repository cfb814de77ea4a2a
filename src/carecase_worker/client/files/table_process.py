"""The reading of a workbook or a Parquet file: a script for a process of its own, whose memory and time are bounded.

A file of a kilobyte may ask for any amount of memory: by two cells in opposite corners of a sheet, or by one long text
that a million rows refer to. The libraries end their process then, or the machine does. So this is run as a script,
which imports nothing of this service: the file is its standard input, and frames of rows are its standard output.
"""

import importlib
import posixpath
import re
import resource
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import chain, repeat
from typing import IO, Any, NoReturn
from uuid import UUID
from xml.etree.ElementTree import fromstring
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile, is_zipfile

import msgspec

WORKBOOK, PARQUET = "workbook", "parquet"
UNREADABLE, TOO_LARGE = 3, 4
"""Exit statuses for a file that is none of its kind, and for a row that no item can be made of."""
MOST_MEMORY_BYTES = 4 << 30
MOST_CPU_S = 900
LENGTH_BYTES = 4
"""The size of the length before each frame; a frame of no length is the end."""
_FRAME_BYTES, _ROW_BYTES = 1 << 20, 16 << 20
_ROWS_AT_ONCE = 1000
_LARGEST = 1 << 63
_KEPT = (type(None), bool, int, float, str)
_WITHOUT_VALUE = re.compile(rb"""t\s*=\s*["']e["']|<(?:\w+:)?f[\s/>]""")
"""A mark of a cell in a sheet's XML that is an error or a formula."""
_LONGEST_MATCH = 64
_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_LETTERS = 26

Row = Sequence[object]


@dataclass(frozen=True, slots=True)
class CellError:
    """An error in place of a cell's value, by its text; None for a formula without a result."""

    text: str | None


ErrorCells = Mapping[int, Mapping[int, CellError]]
"""Errors by row and column from 0."""


def rows_of_workbook(file: IO[bytes]) -> Iterator[Row]:
    """Yield the rows of the first sheet of a workbook, from its first one on, whether it is blank or not."""
    calamine = importlib.import_module("python_calamine")
    try:
        sheet = calamine.load_workbook(file).get_sheet_by_index(0)
    except (calamine.CalamineError, calamine.PasswordError, IndexError):
        sys.exit(UNREADABLE)
    if sheet.start is not None:  # older versions of it fail for a sheet without cells
        errors = error_cells(file)
        missing = repeat((), max(errors, default=0) - sheet.end[0])
        yield from with_errors(chain(sheet.iter_rows(), missing), errors, sheet.start[1])


def with_errors(rows: Iterable[Row], errors: ErrorCells, first_column: int) -> Iterator[Row]:
    """Yield rows with their errors: the library has an empty cell for each."""
    for number, row in enumerate(rows):
        if number not in errors:
            yield row
            continue
        cells = dict(enumerate(row)) | {max(n - first_column, 0): error for n, error in errors[number].items()}
        yield [cells.get(column, "") for column in range(max(cells) + 1)]


def error_cells(file: IO[bytes]) -> ErrorCells:
    """Return the cells of the first sheet that have an error instead of a value; none for other formats than .xlsx."""
    if not is_zipfile(file):
        return {}
    try:
        with ZipFile(file) as packed:
            parts = {name.replace("\\", "/").lower(): name for name in packed.namelist()}
            if _WORKBOOK not in parts:
                return {}
            part = parts[_first_sheet(packed.read(parts[_WORKBOOK]), packed.read(parts[_RELATIONS]))]
            with packed.open(part) as sheet:
                if not _has_match(sheet, _WITHOUT_VALUE):
                    return {}
            with packed.open(part) as sheet:
                return _ErrorReader().read(sheet)
    except (BadZipFile, EOFError, LookupError, StopIteration, SyntaxError, ValueError, expat.ExpatError, zlib.error):
        sys.exit(UNREADABLE)


def _first_sheet(workbook: bytes, relations: bytes) -> str:
    """Return the part with the first sheet, in lower case. Raises StopIteration, SyntaxError."""
    described, related = fromstring(workbook), fromstring(relations)  # noqa: S314  # memory and time are bounded
    sheet = next(described.iterfind("{*}sheets/{*}sheet"))
    relation = next(value for name, value in sheet.items() if name.endswith("/relationships}id"))
    target = next(
        found.get("Target", "") for found in related.iterfind("{*}Relationship") if found.get("Id") == relation
    ).lower()
    return target if target.startswith("xl/") else posixpath.normpath(posixpath.join("/xl", target)).lstrip("/")


def _has_match(content: IO[bytes], pattern: re.Pattern[bytes]) -> bool:
    end = b""
    while piece := content.read(_FRAME_BYTES):
        if pattern.search(end + piece):
            return True
        end = piece[-_LONGEST_MATCH:]
    return False


class _ErrorReader:
    """A reader of a sheet's XML."""

    def __init__(self) -> None:
        self._found: dict[int, dict[int, CellError]] = defaultdict(dict)
        self._row = self._column = -1
        self._kind, self._text, self._is_formula, self._is_value = "", "", False, False
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._take

    def read(self, sheet: IO[bytes]) -> ErrorCells:
        """Return the cells with errors. Raises ExpatError."""
        self._parser.ParseFile(sheet)
        return self._found

    def _begin(self, name: str, attributes: Mapping[str, str]) -> None:
        match name.rpartition(" ")[2]:
            case "row":
                self._row, self._column = int(attributes.get("r", self._row + 2)) - 1, -1
            case "c":
                self._column = _column_of(attributes["r"]) if "r" in attributes else self._column + 1
                self._kind, self._text, self._is_formula = attributes.get("t", ""), "", False
            case "f":
                self._is_formula = True
            case "v":
                self._is_value = True

    def _take(self, text: str) -> None:
        if self._is_value:
            self._text += text

    def _end(self, name: str) -> None:
        match name.rpartition(" ")[2]:
            case "v":
                self._is_value = False
            case "c" if self._kind == "e":
                self._found[self._row][self._column] = CellError(self._text)
            case "c" if self._is_formula and self._kind != "str" and not self._text:
                self._found[self._row][self._column] = CellError(None)


def _column_of(reference: str) -> int:
    """Return the column, from 0, of a reference such as AB12."""
    column = 0
    for letter in reference.rstrip("0123456789"):
        column = column * _LETTERS + ord(letter) - ord("A") + 1
    return column - 1


def rows_of_parquet(file: IO[bytes]) -> Iterator[Row]:
    """Yield the names of the columns of a Parquet file, then the rows."""
    parquet, arrow = importlib.import_module("pyarrow.parquet"), importlib.import_module("pyarrow")
    try:
        opened = parquet.ParquetFile(file)
        yield opened.schema_arrow.names
        for batch in opened.iter_batches(batch_size=_ROWS_AT_ONCE):
            yield from zip(*(_values_of(column, arrow) for column in batch.columns), strict=True)
    except MemoryError:
        raise  # one of them is an ArrowException
    except (arrow.ArrowException, OSError, ValueError):
        sys.exit(UNREADABLE)


def _values_of(column: Any, arrow: Any) -> list[Any]:
    """Return the values of a column; nanoseconds are cut off, and times that Python has no date for become texts."""
    if arrow.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(arrow.timestamp("us", column.type.tz), safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):
        values = column.cast(arrow.string()).to_pylist()
    return values


_READERS: Mapping[str, Callable[[IO[bytes]], Iterator[Row]]] = {WORKBOOK: rows_of_workbook, PARQUET: rows_of_parquet}


def frames_of(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield frames of rows, each about a megabyte, and the end."""
    buffered: list[msgspec.Raw] = []
    size = 0
    for row in rows:
        encoded = msgspec.msgpack.encode([_simple(value) for value in row])
        if len(encoded) > _ROW_BYTES:
            sys.exit(TOO_LARGE)
        buffered.append(msgspec.Raw(encoded))
        size += len(encoded)
        if size > _FRAME_BYTES:
            yield _frame(buffered)
            buffered, size = [], 0
    yield _frame(buffered)
    yield (0).to_bytes(LENGTH_BYTES)


def _frame(rows: Sequence[msgspec.Raw]) -> bytes:
    content = msgspec.msgpack.encode(rows)
    return len(content).to_bytes(LENGTH_BYTES) + content


def _simple(value: Any) -> object:
    """Return a value as a number, truth or text; a list for one that is none of them, with the text of an error."""
    match value:
        case _ if isinstance(value, _KEPT):
            return value
        case date():
            return value.isoformat()
        case Decimal() if value.is_finite():
            return int(value) if value == int(value) and abs(value) < _LARGEST else float(value)
        case bytes():
            return _text_of(value)
        case time() | timedelta() | UUID():
            return str(value)
        case CellError():
            return [value.text]
        case _:
            return []


def _text_of(value: bytes) -> object:
    """Decode bytes: some programs write texts without saying so."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return []


def main() -> NoReturn:
    """Read the file on standard input within the bounds; write frames of its rows."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(sys.stdin.fileno(), "rb", closefd=False) as file:
        for frame in frames_of(_READERS[sys.argv[1]](file)):
            sys.stdout.buffer.write(frame)
    sys.stdout.buffer.flush()
    sys.exit(0)


if __name__ == "__main__":
    main()
