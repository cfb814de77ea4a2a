"""Excel workbooks and the like, read by calamine: the rows of the first sheet."""

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from carecase_worker.client.files.sources import Readable
from carecase_worker.errors import BatchUnreadable


def rows_of_workbook(file: Readable, name: str) -> Iterator[Sequence[object]]:
    """Yield the rows of the first sheet of a workbook. Raises BatchUnreadable."""
    calamine = needed("python_calamine", name)
    try:
        workbook = calamine.load_workbook(file)
        sheet = workbook.get_sheet_by_index(0)
    except (calamine.CalamineError, calamine.PasswordError, IndexError):
        raise BatchUnreadable(
            f"{name}: is not a readable workbook, or has a password. Save it as .xlsx without one, or as CSV."
        ) from None
    top = sheet.start[0] if sheet.start else 0
    for _ in range(top):
        yield ()
    yield from sheet.iter_rows()


def needed(module: str, name: str) -> Any:
    """Import a module of the extra `files`. Raises BatchUnreadable if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise BatchUnreadable(
            f"{name}: workbooks and Parquet need the extra files. Run: pip install 'carecase-client[files]', or"
            " 'carecase-worker[files]'; or save the file as CSV."
        ) from None
