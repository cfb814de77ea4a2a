"""Tables as lines of text: never wrapped, so that a pipe and a wide terminal get whole lines."""

from collections.abc import Iterable
from typing import Any

import typer

from carecase_worker.client.documents import ItemResult

ITEM_COLUMNS = ("index", "case_Key", "status", "body")


def cells_of(item: ItemResult) -> tuple[Any, ...]:
    """Give what became of an item in the order of the columns."""
    return item.index, item.key, item.status, item.body


def print_items(items: Iterable[ItemResult]) -> None:
    """Print what became of items, each column but the last as wide as what is in it."""
    rows = [ITEM_COLUMNS, *(tuple("" if cell is None else str(cell) for cell in cells_of(item)) for item in items)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        *padded, last = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join([*padded, last.rstrip()]))
