"""Tables as lines of text: never wrapped, so that each row stays on one line."""

from collections.abc import Iterable
from typing import Any

import typer

from carecase_worker.client.documents import ItemResult

ITEM_COLUMNS = ("index", "case_Key", "status", "body")


def cells_of(item: ItemResult) -> tuple[Any, ...]:
    """Return the result of an item in the order of the columns."""
    return item.index, item.key, item.status, item.body


def print_items(items: Iterable[ItemResult]) -> None:
    """Print the results of items, each column but the last as wide as its longest cell."""
    rows = [ITEM_COLUMNS, *(tuple("" if cell is None else str(cell) for cell in cells_of(item)) for item in items)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        *padded, last = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join([*padded, last.rstrip()]))
