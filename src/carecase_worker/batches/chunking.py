"""Cutting of a batch's items into chunks of bounded count and size."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from carecase_worker.batches.item_runs import ItemRun, WaitingRuns, array_of
from carecase_worker.batches.line_numbers import LineRuns, NumberedItems, runs_of_lines
from carecase_worker.cases.care_case import KEY
from carecase_worker.cases.validation import key_of
from carecase_worker.errors import BatchFault, BatchRefused

_NULL = b"null"


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """Limits of a chunk in items and bytes, and of an item in bytes. A chunk of one item may exceed `size`."""

    items: int
    size: int
    item_size: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The items of one chunk: a JSON array, with the index of its first item in the batch.

    `refused` maps the index in the chunk of each item that was too large to store to its fault. In the array such an
    item is null, or an object with only its case key, which is never valid. `lines` are the line numbers of a file's
    rows. A chunk of a dry run is marked as one. `keys` are those of its items, modulo 2**32, if they were read already.
    """

    first: int
    count: int
    items: bytes
    refused: Mapping[int, str] = field(default_factory=dict)
    lines: LineRuns = ()
    dry_run: bool = False
    keys: "array[int] | None" = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """The reference to a chunk: its job, and its number in the job."""

    job_id: str
    chunk_no: int

    @classmethod
    def of(cls, name: str) -> "ChunkRef":
        """Parse a chunk's name as stored in Redis: the job's id, a colon, the number."""
        job_id, chunk_no = name.split(":")
        return cls(job_id, int(chunk_no))


class Chunker:
    """An incremental cutter of a batch's items into chunks."""

    def __init__(self, bounds: ChunkLimits) -> None:
        self._bounds = bounds
        self._runs = WaitingRuns()  # empty while single items wait
        self._waiting: list[msgspec.Raw] = []  # empty while runs wait
        self._lines: list[int] = []  # of the waiting items, if they were rows of a file
        self._gone = 0  # number of the waiting items that are in chunks by now
        self._waiting_bytes = 0
        self._first = 0

    @property
    def total(self) -> int:
        """The number of items added so far."""
        return self._first + self._runs.count + len(self._waiting) - self._gone

    @property
    def buffered_bytes(self) -> int:
        """Memory in bytes of the items not in a chunk yet; the buffers they are slices of may be twice their size."""
        return 2 * (self._runs.size + self._waiting_bytes)

    def add(self, items: Sequence[msgspec.Raw]) -> Iterator[Chunk]:
        """Add the next items and yield the chunks that are full.

        Raises BatchRefused if an item is not UTF-8.
        """
        if not items:
            return
        if isinstance(items, ItemRun) and self._fits(items):
            self._runs.add(items)
            while self._runs.count >= self._bounds.items:
                yield self._next_of_runs(self._bounds.items)
            return
        if self._runs.count:
            yield from self._add_each(self._runs.drain())
        yield from self._add_each(items.separate() if isinstance(items, ItemRun) else items)

    def _fits(self, run: ItemRun) -> bool:
        """Return whether a run is cut by its count alone: no limit in bytes can be reached.

        A run of more items than a chunk has would be parsed once for each of its chunks.
        """
        bounds = self._bounds
        is_short = len(run) <= bounds.items and run.size <= bounds.item_size
        return is_short and not self._waiting and self._runs.size + run.size < bounds.size

    def _add_each(self, items: Sequence[msgspec.Raw]) -> Iterator[Chunk]:
        self._waiting += items
        if isinstance(items, NumberedItems):
            self._lines += items.lines
        self._waiting_bytes += sum(map(len, items))
        while len(self._waiting) - self._gone >= self._bounds.items or self._waiting_bytes >= self._bounds.size:
            yield self._next()
        del self._waiting[: self._gone]
        del self._lines[: self._gone]
        self._gone = 0

    def finish(self) -> Iterator[Chunk]:
        """Yield the chunks of the remaining items. Raises BatchRefused."""
        if self._runs.count:
            yield self._next_of_runs(self._runs.count)
        while self._gone < len(self._waiting):
            yield self._next()

    def _next_of_runs(self, count: int) -> Chunk:
        run = self._runs.take(count)
        _require_utf8(run.text, self._first)
        chunk = Chunk(self._first, count, run.text, keys=run.keys)
        self._first += count
        return chunk

    def _next(self) -> Chunk:
        some = self._waiting[self._gone : self._gone + self._bounds.items]
        chunk = _chunk_of(some, self._first, self._bounds)
        if self._lines:
            chunk = replace(chunk, lines=runs_of_lines(self._lines[self._gone : self._gone + chunk.count]))
        self._gone += chunk.count
        self._waiting_bytes -= sum(map(len, some[: chunk.count]))
        self._first += chunk.count
        return chunk


def _chunk_of(items: Sequence[msgspec.Raw], first: int, bounds: ChunkLimits) -> Chunk:
    """Return a chunk of the first of these items, as many as fit."""
    sizes = list(map(len, items))
    refused: dict[int, str] = {}
    kept: Sequence[bytes | msgspec.Raw] = items
    if sum(sizes) > bounds.size or max(sizes) > bounds.item_size:
        kept = _within_bounds(items, bounds, refused)
    text = array_of(kept)
    _require_utf8(text, first)
    return Chunk(first, len(kept), text, refused)


def _within_bounds(
    items: Sequence[msgspec.Raw], bounds: ChunkLimits, refused: dict[int, str]
) -> list[bytes | msgspec.Raw]:
    kept: list[bytes | msgspec.Raw] = []
    size = 0
    for item in items:
        if len(item) > bounds.item_size:
            refused[len(kept)] = f"item: must have at most {bounds.item_size} bytes"
            kept.append(_key_alone(item))
            continue
        size += len(item)
        if kept and size > bounds.size:
            break
        kept.append(item)
    return kept


def _key_alone(item: msgspec.Raw) -> bytes:
    """Reduce an item that is too large to an object with only its case key, for its outcome; null without a key."""
    try:
        key = key_of(item)
    except RecursionError:  # an item too large may be nested too deeply as well
        return _NULL
    return _NULL if key is None else f'{{"{KEY}":{key}}}'.encode()


def _require_utf8(text: bytes, first: int) -> None:
    if text.isascii():  # no copy is made to find out
        return
    try:
        text.decode()
    except UnicodeDecodeError:
        raise BatchRefused(
            BatchFault.NOT_JSON,
            f"The body is not UTF-8 (in item {first} or one of the next). Send JSON in UTF-8.",
        ) from None
