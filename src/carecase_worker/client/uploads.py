"""Uploads of batches: files and bytes are sent unchanged, cases as a JSON array."""

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Any, Self, TypeAlias, cast

from carecase_worker.batches.splitting import ArraySplitter
from carecase_worker.client.files.sources import (
    Source,
    compression_of,
    is_source,
    items_of,
    look_into,
    media_type_of,
    opened,
    split,
)
from carecase_worker.client.row_files import RowFile, items_of_file
from carecase_worker.client.values import encoded, members_of
from carecase_worker.errors import BatchUnreadable

Case: TypeAlias = Any
"""One case: a mapping of the contract's field names, a CareCase, a dataclass, a named tuple, a row of a database.

Members that are left out are not sent.
"""

Batch: TypeAlias = Iterable[Case] | Source | RowFile
"""The types that a batch may have. Bytes and files are iterables, too, but never of cases."""

BATCH_ITEMS = 10_000
BATCH_BYTES = 16 << 20
"""Maximum size of a batch of `submit_all`."""

PART_ITEMS, PART_BYTES = 100_000, 64 << 20
"""Maximum size of a batch that the command line cuts from a file."""

VALIDATED_ITEMS = 20_000
"""Maximum number of items of the service for validation only."""

_PIECE_BYTES = 256 << 10
_MEMORY_BYTES = BATCH_BYTES


def nothing_sent(_: int) -> None:
    """Ignore the progress of an upload."""


def nobody_asks() -> None:
    """Ignore the end of a batch."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A batch that can be read piece by piece, any number of times."""

    pieces: Callable[[], Iterator[bytes]]
    content_type: str = "application/json"
    content_encoding: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


class BatchBuffer:
    """A batch under construction; in memory while it is small, then on disk, until its `with` block ends.

    `first` is the index of its first item among all items sent.
    """

    def __init__(self, first: int = 0, whole_sent: Callable[[], None] = nobody_asks) -> None:
        self.first = first
        self._whole_sent = whole_sent
        self._file = SpooledTemporaryFile[bytes](max_size=_MEMORY_BYTES)
        self._is_closed = False
        self.items = 0
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._file.close()

    def add(self, item: bytes) -> None:
        """Append an item."""
        self.size += self._file.write(b"," if self.items else b"[") + self._file.write(item)
        self.items += 1

    def upload(self) -> Upload:
        """Return the batch as a JSON array; no items can be added afterwards."""
        if not self._is_closed:
            self._file.write(b"]" if self.items else b"[]")
            self._is_closed = True
        return Upload(self._content)

    def _content(self) -> Iterator[bytes]:
        yield from _pieces(self._file, nothing_sent)
        self._whole_sent()

    def cut(self, items: int) -> Iterator["BatchBuffer"]:
        """Cut the batch into batches of `items` items."""
        self.upload()
        part = BatchBuffer(self.first, self._whole_sent)
        for number, item in enumerate(split(_pieces(self._file, nothing_sent), ArraySplitter(in_runs=False))):
            if part.items == items:
                yield part
                part = BatchBuffer(self.first + number, self._whole_sent)
            part.add(item)
        yield part


class Batches:
    """A cutter of a stream of items into batches of bounded size; it buffers only one of them.

    It calls `whole_sent` whenever a batch has been sent completely and its response is outstanding.
    """

    def __init__(self, items: int, size: int, whole_sent: Callable[[], None] = nobody_asks) -> None:
        self.items = items
        self._size = size
        self._whole_sent = whole_sent
        self._open = BatchBuffer(0, whole_sent)

    def add(self, item: bytes) -> Iterator[BatchBuffer]:
        """Add an item; yield full batches, which must be sent before the next item is added."""
        if self._open.items and self._open.size + len(item) + len(b",]") > self._size:
            yield self._taken()
        self._open.add(item)
        if self._open.items >= self.items:
            yield self._taken()

    def rest(self) -> Iterator[BatchBuffer]:
        """Yield the last batch, if there is one."""
        if self._open.items:
            yield self._taken()

    def halve(self, refused: BatchBuffer) -> None:
        """Reduce the size of batches to half of one that was too large for the service."""
        self.items = min(self.items, -(-refused.items // 2))

    def _taken(self) -> BatchBuffer:
        full = self._open
        self._open = BatchBuffer(full.first + full.items, self._whole_sent)
        return full


@contextmanager
def reading(batch: Batch, sent: Callable[[int], None] = nothing_sent) -> Iterator[Upload]:
    """Open a batch as an upload.

    `sent` is called with the size of each piece of a file, of cases once with that of all. Raises BatchUnreadable.
    """
    if is_source(batch):
        with opened(batch) as (file, name):
            yield _upload(cast(IO[bytes], file), name, sent)
    elif isinstance(batch, RowFile) and batch.is_sent_as_it_is:
        with opened(batch.source) as (file, _):
            yield _upload_of_rows(cast(IO[bytes], file), batch, sent)
    else:
        with BatchBuffer(whole_sent=lambda: sent(gathered.size)) as gathered:
            for item in items_in(batch):
                gathered.add(item)
            yield gathered.upload()


def items_in(batch: Batch) -> Iterator[bytes]:
    """Yield the items of a batch as JSON, one by one. Raises BatchUnreadable."""
    if is_source(batch):
        yield from items_of(batch)
        return
    if isinstance(batch, RowFile):
        yield from items_of_file(batch)
        return
    refuse_what_is_no_batch(batch)
    for number, case in enumerate(cast(Iterable[Case], batch)):
        yield encoded(case, number)


_FRAMES = {
    "to_dicts": "frame.to_dicts()",
    "to_pylist": "table.to_pylist()",
    "iterrows": 'frame.to_dict("records")',
}
"""Calls that return the rows of a pandas, polars or pyarrow table, by a method that identifies its library."""


def refuse_what_is_no_batch(batch: object) -> None:
    """Raise BatchUnreadable, with advice, for an object that is neither an iterable of cases nor a file or bytes."""
    kind = type(batch).__name__
    for method, call in _FRAMES.items():
        if hasattr(batch, method):
            raise BatchUnreadable(f"A {kind} was given as batch; its elements are not cases. Give its rows: {call}")
    if isinstance(batch, str):
        raise BatchUnreadable("A str was given as batch. Give a file as Path(name), and JSON as bytes: text.encode().")
    if members_of(batch) is not None:
        raise BatchUnreadable(f"One case ({kind}) was given as batch. A batch is a list of cases: [case].")
    if isinstance(batch, AsyncIterable):
        raise BatchUnreadable(f"The batch ({kind}) is asynchronous. Send it with connect_async.")
    if not isinstance(batch, Iterable):
        raise BatchUnreadable(f"A batch cannot be of type {kind}. Give an iterable of cases, a Path, a file or bytes.")


def _upload_of_rows(file: IO[bytes], batch: RowFile, sent: Callable[[int], None]) -> Upload:
    """Make an upload of a file of rows, which the service converts."""
    _rewind(file)
    encoding = compression_of(file)
    parameters = {"mapping": batch.mapping} if isinstance(batch.mapping, str) else {}
    return Upload(lambda: _pieces(file, sent), batch.content_type, encoding, parameters)


def _rewind(file: IO[bytes]) -> None:
    try:
        file.seek(0)
    except (OSError, AttributeError):
        raise BatchUnreadable("The file cannot be read from its beginning. Give its Path, or its bytes.") from None


def _upload(file: IO[bytes], name: str, sent: Callable[[int], None]) -> Upload:
    """Make an upload of a file; media type and compression are recognised by its first bytes."""
    _rewind(file)
    encoding, head = look_into(file, name)
    return Upload(lambda: _pieces(file, sent), media_type_of(head), encoding)


def _pieces(file: IO[bytes], sent: Callable[[int], None]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        yield piece
        sent(len(piece))
