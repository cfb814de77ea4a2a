"""The acknowledgement of a batch as CSV (RFC 4180): one row for each item, for those who sent a file."""

import csv
from collections.abc import Iterable
from io import StringIO

from carecase_worker.cases.care_case import FIELD
from carecase_worker.cases.outcome import Kind, Outcome

COLUMNS = ("index", "case_Key", "status", "body")
COLUMNS_OF_ROWS = (*COLUMNS, "line", "outcome", "field", "rule")
"""The columns for items that were rows of a file."""

_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
_NAMED = (*FIELD, "item")

Told = tuple[int, int | None, Outcome, int | None]
"""The place of an item in the batch, its key, its outcome, and its line if it was a row of a file."""


def header(of_rows: bool) -> bytes:
    """Return the header row."""
    return _written([COLUMNS_OF_ROWS if of_rows else COLUMNS])


def rows(told: Iterable[Told]) -> bytes:
    """Return a row for each item."""
    return _written(
        (index, key, outcome.kind.status, plain(outcome.body))
        if line is None
        else (index, key, outcome.kind.status, plain(outcome.body), line, outcome.kind.counted_as, *_fault(outcome))
        for index, key, outcome, line in told
    )


def plain(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text


def _fault(outcome: Outcome) -> tuple[str, str]:
    """Return the field and the rule of an outcome's first fault; empty if it names none."""
    if outcome.kind not in (Kind.INVALID, Kind.CONFLICT):
        return "", ""
    name, _, rule = outcome.body.partition("; ")[0].partition(": ")
    return (name, plain(rule)) if name in _NAMED else ("", plain(outcome.body))


def _written(table: Iterable[Iterable[object]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerows(table)
    return text.getvalue().encode()
