"""The reading of a workbook or a Parquet file: a script for a process of its own, whose memory and time are bounded.

A file of a kilobyte may ask for any amount of memory: by two cells in opposite corners of a sheet, or by one long text
that a million rows refer to. The libraries end their process then, or the machine does. So this is run as a script,
which imports nothing of this service: the file is its standard input, and frames of rows are its standard output.
"""

import importlib
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import IO, Any, NoReturn
from uuid import UUID

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

Row = Sequence[object]


def rows_of_workbook(file: IO[bytes]) -> Iterator[Row]:
    """Yield the rows of the first sheet of a workbook, from its first one on, whether it is blank or not."""
    calamine = importlib.import_module("python_calamine")
    try:
        sheet = calamine.load_workbook(file).get_sheet_by_index(0)
    except (calamine.CalamineError, calamine.PasswordError, IndexError):
        sys.exit(UNREADABLE)
    if sheet.start is not None:  # older versions of it fail for a sheet without cells
        yield from sheet.iter_rows()


def rows_of_parquet(file: IO[bytes]) -> Iterator[Row]:
    """Yield the names of the columns of a Parquet file, then the rows."""
    parquet, arrow = importlib.import_module("pyarrow.parquet"), importlib.import_module("pyarrow")
    try:
        opened = parquet.ParquetFile(file)
        yield opened.schema_arrow.names
        for batch in opened.iter_batches(batch_size=_ROWS_AT_ONCE):
            yield from zip(*(_values_of(column, arrow) for column in batch.columns), strict=True)
    except (arrow.ArrowException, ValueError):
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
    """Return a value as a number, truth or text; an empty list for one that is none of them."""
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
