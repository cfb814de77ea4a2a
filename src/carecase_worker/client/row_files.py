"""Files of rows as batches: text is sent unchanged, or converted to cases by a local mapping."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from carecase_worker.batches.line_numbers import LineRuns, NumberedItems, joined_runs, runs_of_lines
from carecase_worker.client.files.sources import Readable, Source, decompressed, opened, reading_of
from carecase_worker.client.files.tables import rows_of_parquet, rows_of_workbook
from carecase_worker.errors import BatchUnreadable
from carecase_worker.files.episodes import EpisodeMapping, EpisodeSplitter
from carecase_worker.files.mapping import NAMES_OF_FIELDS, FileMapping
from carecase_worker.files.refusals import refuse
from carecase_worker.files.sheets import Row, items_of_rows
from carecase_worker.files.splitting import RowSplitter
from carecase_worker.files.table import Report

_PIECE_BYTES = 256 << 10
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_PARQUET_MAGIC = b"PAR1"
PARQUET = "Parquet"

AnyMapping: TypeAlias = FileMapping | EpisodeMapping


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of rows: CSV and other delimited text, fixed width, an Excel workbook (its first sheet) or Parquet.

    `mapping` is a local one, or the name of one of the service's; without one, the columns must be named as the fields.
    Workbooks and Parquet need the extra `files`, and are converted here.
    """

    source: Source
    mapping: AnyMapping | str | None = None

    @property
    def is_sent_as_it_is(self) -> bool:
        """True if the service converts it: it is text, and there is no local mapping."""
        return not isinstance(self.mapping, FileMapping | EpisodeMapping) and not self.is_table

    @property
    def kind(self) -> str:
        """The kind of a binary file, for messages; empty for text. A pipe is text."""
        return _kind(self.source)

    @property
    def is_table(self) -> bool:
        """True for a workbook or Parquet."""
        return bool(self.kind)

    @property
    def content_type(self) -> str:
        """The media type by the name of a file: tabs for .tsv and .tab, also compressed."""
        name = self.source.name.lower() if isinstance(self.source, Path) else ""
        is_tabbed = name.removesuffix(".gz").removesuffix(".zst").endswith((".tsv", ".tab"))
        return "text/tab-separated-values" if is_tabbed else "text/csv"


def items_of_file(file: RowFile, report: Report = refuse) -> Iterator[bytes]:
    """Yield the items of a file, by a local mapping. Raises BatchUnreadable."""
    for items in groups_of_items(file, report):
        yield from map(bytes, items)


def groups_of_items(file: RowFile, report: Report = refuse) -> Iterator[Iterable[bytes]]:
    """Yield the items of a file, some at a time. Raises BatchUnreadable."""
    mapping = known_mapping(file)
    if isinstance(mapping, FileMapping) and file.is_table:
        with rows_of(file) as rows:
            yield from items_of_rows(rows, mapping, report)
        return
    with opened(file.source) as (source, name), reading_of(name):
        if file.is_table:
            raise BatchUnreadable(f"{name}: the mapping is for FHIR resources as NDJSON, and this is {file.kind}.")
        splitter = RowSplitter(mapping, report=report) if isinstance(mapping, FileMapping) else EpisodeSplitter(mapping)
        for piece in _pieces(source):
            yield splitter.feed(piece)
        yield splitter.finish()


@contextmanager
def rows_of(file: RowFile) -> Iterator[Iterable[Row]]:
    """Open a workbook or Parquet file; yield its rows. Raises BatchUnreadable."""
    with opened(file.source) as (source, name), reading_of(name):
        yield (rows_of_parquet if file.kind == PARQUET else rows_of_workbook)(source, name)


def lines_of_items(file: RowFile) -> LineRuns:
    """Read a whole file before any of it is sent; return the lines of its items. Raises BatchUnreadable."""
    runs: LineRuns = ()
    count = 0
    for items in groups_of_items(file):
        if isinstance(items, NumberedItems):
            runs = joined_runs(runs, count, runs_of_lines(items.lines))
            count += len(items)
    return runs


def known_mapping(file: RowFile) -> AnyMapping:
    """Return the mapping of a file. Raises BatchUnreadable if only the service knows it."""
    if isinstance(file.mapping, str):
        raise BatchUnreadable(
            f"The mapping {file.mapping} is the service's, but this needs a local one: the file is a"
            " workbook or Parquet, is too large for one batch, or is only checked. Give the mapping as a TOML"
            " file: --mapping FILE.toml"
        )
    return file.mapping or NAMES_OF_FIELDS


def _kind(source: Source) -> str:
    head = b""
    if isinstance(source, Path) and source.is_file():
        with opened(source) as (file, _):
            head = file.read(4)
    elif isinstance(source, bytes | bytearray):
        head = bytes(source[:4])
    if head.startswith(_WORKBOOKS):
        return "a workbook"
    return PARQUET if head == _PARQUET_MAGIC else ""


def _pieces(source: Readable) -> Iterator[bytes]:
    decoded = decompressed(source)
    while piece := decoded.read(_PIECE_BYTES):
        yield piece
