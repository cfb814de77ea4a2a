"""Plain text tables, never wrapped: one line per row."""

from collections.abc import Sequence
from typing import Any

import typer

from carecase_worker.cases.care_case import KEY
from carecase_worker.cli.ending import shown
from carecase_worker.client.documents import ItemResult

ITEM_COLUMNS = ("index", "case_Key", "status", "body")


def columns_of(items: Sequence[ItemResult]) -> tuple[str, ...]:
    """Return the columns for items: with line numbers for rows of a file, with changes for a dry run."""
    line = ("line",) if any(item.line is not None for item in items) else ()
    changes = ("changes",) if any(item.changes is not None for item in items) else ()
    return (*line, *ITEM_COLUMNS, *changes)


def cells_of(item: ItemResult, columns: Sequence[str] = ITEM_COLUMNS) -> tuple[Any, ...]:
    """Return the result of an item in the order of the columns."""
    cells = {"line": item.line, "index": item.index, KEY: item.key, "status": item.status, "body": item.body}
    cells["changes"] = " ".join(item.changes or ())
    return tuple(cells[column] for column in columns)


def print_items(items: Sequence[ItemResult]) -> None:
    """Print the results of items, each column but the last as wide as its longest cell."""
    columns = columns_of(items)
    rows = [
        columns,
        *(tuple("" if cell is None else shown(cell) for cell in cells_of(item, columns)) for item in items),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        *padded, last = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join([*padded, last.rstrip()]))
