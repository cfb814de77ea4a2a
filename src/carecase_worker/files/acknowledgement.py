"""The acknowledgement of a batch as CSV (RFC 4180), one row for each item, for senders of files."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO

from carecase_worker.cases.care_case import FIELD

COLUMNS = ("index", "case_Key", "status", "body")
COLUMNS_OF_ROWS = (*COLUMNS, "line", "outcome", "field", "rule")
"""The columns for items that were rows of a file."""
COLUMN_OF_DRY_RUN = "changes"
"""The last column, with the fields that would change."""

NOTES = ("_index", "_line", "_status", "_reason")
"""Columns or members added to failed items, with the reason, for correction. They are ignored when resent."""

_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
_NAMED = (*FIELD, "item")

_FAULTS = (422, 409)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item of a result: its index in the batch, or None for the whole file; its line if it was a row of a file.

    In a dry run, `changes` has the fields that would change.
    """

    index: int | None
    key: int | None
    status: int
    body: str
    outcome: str
    line: int | None = None
    changes: Sequence[str] | None = None


def header(of_rows: bool, dry_run: bool = False) -> bytes:
    """Return the header row."""
    columns = COLUMNS_OF_ROWS if of_rows else COLUMNS
    return _written([(*columns, COLUMN_OF_DRY_RUN) if dry_run else columns])


def rows(items: Iterable[ItemRow], of_rows: bool) -> bytes:
    """Return a row for each item."""
    return _written(_row(item, of_rows) for item in items)


def _row(item: ItemRow, of_rows: bool) -> tuple[object, ...]:
    first = (item.index, item.key, item.status, plain(item.body))
    last = () if item.changes is None else (" ".join(item.changes),)
    return (*first, item.line, item.outcome, *_fault(item), *last) if of_rows else (*first, *last)


def notes_of(index: int, line: int | None, status: int, body: str) -> Iterable[tuple[str, int | str]]:
    """Return the notes on a failed item, by name."""
    return zip(NOTES, (index, "" if line is None else line, status, body), strict=True)


def plain(text: str) -> str:
    """Escape a text that a spreadsheet would interpret as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text


def _fault(item: ItemRow) -> tuple[str, str]:
    """Return the field and the rule of an item's first fault; empty if it names none."""
    if item.status not in _FAULTS or item.outcome != "failed":
        return "", ""
    name, _, rule = item.body.partition("; ")[0].partition(": ")
    return (name, plain(rule)) if name in _NAMED else ("", plain(item.body))


def _written(table: Iterable[Iterable[object]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerows(table)
    return text.getvalue().encode()
