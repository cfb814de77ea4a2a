"""Lines of files that were sent; for workbooks and Parquet, the lines that they would have as CSV."""

import csv
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from carecase_worker.batches.faults import BLANK
from carecase_worker.client.files.sources import decompressed, opened, reading_of
from carecase_worker.client.row_files import RowFile, rows_of
from carecase_worker.files.decoding import TextDecoder
from carecase_worker.files.mapping import FileMapping
from carecase_worker.files.sheets import cells_of, fitted, trimmed

_PIECE_BYTES = 256 << 10


def json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the nonblank lines of a file, stripped, with their numbers from 1."""
    for number, line in enumerate(_lines(path), start=1):
        if filled := line.strip(BLANK).removeprefix(BOM_UTF8).strip(BLANK):
            yield number, filled


def text_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a text, each with its line feed. Raises BatchUnreadable."""
    decoder, rest = TextDecoder(encoding), ""
    with opened(path) as (source, name), reading_of(name):
        content = decompressed(source)
        while piece := content.read(_PIECE_BYTES):
            *lines, rest = (rest + decoder.decode(piece)).split("\n")
            yield from (line + "\n" for line in lines)
        rest += decoder.decode(b"", is_last=True)
        if rest:
            yield rest


def transparent_encoding(path: Path) -> str:
    """Return an encoding that preserves every byte of a file whose own encoding is unknown here."""
    with opened(path) as (source, name), reading_of(name):
        mark = decompressed(source).read(len(BOM_UTF16_LE))
    return "utf-16" if mark in (BOM_UTF16_LE, BOM_UTF16_BE) else "iso-8859-1"


def table_lines(file: RowFile, mapping: FileMapping) -> Iterator[str]:
    """Yield the rows of a workbook or Parquet file as records of CSV, by whose mapping they are read in the same way.

    Raises BatchUnreadable.
    """
    width = len(mapping.in_order)
    with rows_of(file) as rows:
        for number, row in enumerate(rows, start=1):
            cells = trimmed(cells_of(row, mapping))
            is_before = number <= mapping.skipped_lines
            if mapping.has_header and not width and not is_before:
                width = len(cells)
            yield _record(_one_line(cells) if is_before else fitted(cells, width), mapping.delimiter or ",")


def _record(cells: Sequence[str], delimiter: str) -> str:
    text = StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerow(cells if any(cells) else ())
    return text.getvalue()


def _one_line(cells: Sequence[str]) -> list[str]:
    """Return cells without line feeds: lines that are skipped are counted."""
    return [" ".join(cell.split("\n")) for cell in cells]


def _lines(path: Path) -> Iterator[bytes]:
    with opened(path) as (source, name), reading_of(name):
        content, rest = decompressed(source), b""
        while piece := content.read(_PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        yield rest
