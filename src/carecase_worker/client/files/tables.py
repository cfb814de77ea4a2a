"""Workbooks and Parquet files, read in a process of their own: whatever is in them, this one goes on."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, cast

import msgspec

from carecase_worker.client.files import table_process
from carecase_worker.client.files.sources import Readable
from carecase_worker.client.files.table_process import LENGTH_BYTES, PARQUET, TOO_LARGE, UNREADABLE, WORKBOOK
from carecase_worker.errors import BatchUnreadable

_LIBRARIES = {WORKBOOK: "python_calamine", PARQUET: "pyarrow"}
_IS_NONE = {
    WORKBOOK: "is not a readable workbook, or has a password. Save it as .xlsx without one, or as CSV.",
    PARQUET: "is not a readable Parquet file. Write it again, or save it as CSV.",
}
_Rows = list[list[bool | int | float | str | list[str | None] | None]]
"""Rows as the process writes them; a list is a value that is no number, truth or text, with the text of an error."""


def rows_of_workbook(file: Readable, name: str) -> Iterator[Sequence[object]]:
    """Yield the rows of the first sheet of a workbook. Raises BatchUnreadable."""
    return _rows_of(WORKBOOK, file, name)


def rows_of_parquet(file: Readable, name: str) -> Iterator[Sequence[object]]:
    """Yield the names of the columns of a Parquet file, then the rows. Raises BatchUnreadable."""
    return _rows_of(PARQUET, file, name)


def _rows_of(kind: str, file: Readable, name: str) -> Iterator[Sequence[object]]:
    _require_library(kind, name)
    # -P: nothing that lies in the present directory is imported
    command = [sys.executable, "-P", table_process.__file__, kind]
    is_whole, length = False, b""
    with (
        _on_disk(file) as content,
        subprocess.Popen(  # noqa: S603  # this interpreter and a script of ours
            command, stdin=content, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process,
    ):
        written = cast(IO[bytes], process.stdout)
        try:
            while size := int.from_bytes(length := written.read(LENGTH_BYTES)):
                yield from msgspec.msgpack.decode(written.read(size), type=_Rows)
            is_whole = len(length) == LENGTH_BYTES
        except msgspec.DecodeError:  # the process ended within a frame
            pass
        finally:
            if not is_whole and length:  # whoever reads needs no more rows
                process.kill()
            status = process.wait()
    if not is_whole:
        raise BatchUnreadable(f"{name}: {_reason(kind, status)}")


def _reason(kind: str, status: int) -> str:
    if status == UNREADABLE:
        return _IS_NONE[kind]
    if status == TOO_LARGE:
        return "has a row that is too large for a case. Remove what is not a case, or save the file as CSV."
    most_gib = table_process.MOST_MEMORY_BYTES >> 30
    return (
        f"needs more than {most_gib} GiB of memory, or {table_process.MOST_CPU_S} seconds, to be read, maybe because of"
        " cells far away from its rows. Remove such cells, or save the file as CSV."
    )


@contextmanager
def _on_disk(file: Readable) -> Iterator[Any]:
    """Yield a file that another process can read from its beginning."""
    if isinstance(getattr(file, "name", None), str | Path):
        yield file
        return
    with TemporaryFile() as copy:
        shutil.copyfileobj(cast(IO[bytes], file), copy)
        copy.seek(0)
        yield copy


def _require_library(kind: str, name: str) -> None:
    """Look for a library of the extra `files`. Raises BatchUnreadable if it is not installed."""
    if find_spec(_LIBRARIES[kind]) is None:
        raise BatchUnreadable(
            f"{name}: workbooks and Parquet need the extra files. Run: pip install 'carecase-client[files]', or"
            " 'carecase-worker[files]'; or save the file as CSV."
        )
