"""Encoding of chunk payloads, and of the outcomes of chunks.

A payload is one byte for its form, then the form's own bytes. Form 1: the length of a msgpack header as a 32-bit
little-endian number, the header, then the items as a zstd-compressed JSON array. A form that was released stays
readable for ever.
"""

import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import zstandard

from carecase_worker.cases.care_case import KEY
from carecase_worker.cases.outcome import Outcome, pack_outcomes, unpack_outcomes
from carecase_worker.cases.validation import key_of
from carecase_worker.errors import BatchFault, BatchRefused, PayloadUnreadable
from carecase_worker.files.items import LineRuns, NumberedItems, runs_of_lines

_FORM_1 = b"\x01"
_NO_KEY = -(2**63)
_NULL = b"null"
_LENGTH = struct.Struct("<I")


class _Header(msgspec.Struct, omit_defaults=True):
    first: int
    count: int
    refused: dict[int, str]
    lines: LineRuns = ()


class _PackedDone(msgspec.Struct, omit_defaults=True):
    keys: bytes
    outcomes: bytes
    lines: LineRuns = ()


_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_header_decoder = msgspec.msgpack.Decoder(_Header)
_done_decoder = msgspec.msgpack.Decoder(_PackedDone)


@dataclass(frozen=True, slots=True)
class ChunkBounds:
    """Limits of a chunk in items and bytes, and of an item in bytes. A chunk of one item may exceed `size`."""

    items: int
    size: int
    item_size: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The items of one chunk: a JSON array, with the place of its first item in the batch.

    `refused` has the faults of the items that were too large to keep, by their places in the chunk. In the array such
    an item is null, or an object with its case key alone, which is never valid. `lines` are those of a file's rows.
    """

    first: int
    count: int
    items: bytes
    refused: Mapping[int, str] = field(default_factory=dict)
    lines: LineRuns = ()


@dataclass(frozen=True, slots=True)
class ChunkOutcomes:
    """The outcomes of a chunk's items, the keys of their cases, and their lines if they were rows of a file."""

    keys: Sequence[int | None]
    outcomes: Sequence[Outcome]
    lines: LineRuns = ()


class Cutter:
    """A cutter of a batch's items into chunks, as they come."""

    def __init__(self, bounds: ChunkBounds) -> None:
        self._bounds = bounds
        self._waiting: list[msgspec.Raw] = []
        self._lines: list[int] = []  # of the waiting items, if they were rows of a file
        self._gone = 0  # number of the waiting items that are in chunks by now
        self._waiting_bytes = 0
        self._first = 0

    @property
    def total(self) -> int:
        """Items that have been taken so far."""
        return self._first + len(self._waiting) - self._gone

    @property
    def held_bytes(self) -> int:
        """Memory of the items that are in no chunk yet, in bytes: they may lie in texts of twice their size."""
        return 2 * self._waiting_bytes

    def add(self, items: Sequence[msgspec.Raw]) -> Iterator[Chunk]:
        """Take the next items and yield the chunks that are full by now.

        Raises BatchRefused if an item is not UTF-8.
        """
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
        while self._gone < len(self._waiting):
            yield self._next()

    def _next(self) -> Chunk:
        some = self._waiting[self._gone : self._gone + self._bounds.items]
        chunk = _chunk_of(some, self._first, self._bounds)
        if self._lines:
            chunk = replace(chunk, lines=runs_of_lines(self._lines[self._gone : self._gone + chunk.count]))
        self._gone += chunk.count
        self._waiting_bytes -= sum(map(len, some[: chunk.count]))
        self._first += chunk.count
        return chunk


def _chunk_of(items: Sequence[msgspec.Raw], first: int, bounds: ChunkBounds) -> Chunk:
    """Return a chunk that begins with these items, and has as many of them as it may hold."""
    sizes = list(map(len, items))
    refused: dict[int, str] = {}
    kept: Sequence[bytes | msgspec.Raw] = items
    if sum(sizes) > bounds.size or max(sizes) > bounds.item_size:
        kept = _within_bounds(items, bounds, refused)
    text = _array(kept)
    _require_utf8(text, first)
    return Chunk(first, len(kept), text, refused)


def _within_bounds(
    items: Sequence[msgspec.Raw], bounds: ChunkBounds, refused: dict[int, str]
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
    """Return an item that is too large as an object with its case key alone, which its outcome names; or null."""
    key = key_of(item)
    return _NULL if key is None else f'{{"{KEY}":{key}}}'.encode()


def _array(items: Iterable[bytes | msgspec.Raw]) -> bytes:
    return b"[%b]" % b",".join(items)


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


def pack(chunk: Chunk) -> bytes:
    """Return the payload of a chunk."""
    header = msgspec.msgpack.encode(_Header(chunk.first, chunk.count, dict(chunk.refused), chunk.lines))
    compressed = zstandard.ZstdCompressor(level=1).compress(chunk.items)
    return b"".join((_FORM_1, _LENGTH.pack(len(header)), header, compressed))


def unpack(payload: bytes) -> Chunk:
    """Return the chunk of a payload. Raises PayloadUnreadable."""
    if payload[:1] != _FORM_1:
        raise PayloadUnreadable("the payload is of a form that this worker does not know; upgrade the worker")
    try:
        start = 1 + _LENGTH.size
        end = start + _LENGTH.unpack_from(payload, 1)[0]
        header = _header_decoder.decode(payload[start:end])
        items = zstandard.ZstdDecompressor().decompress(payload[end:])
    except (struct.error, msgspec.DecodeError, zstandard.ZstdError):
        raise PayloadUnreadable("the payload is damaged; cancel the job, and have its sender send it again") from None
    return Chunk(header.first, header.count, items, header.refused, header.lines)


def items_at(chunk: Chunk, places: Sequence[int]) -> list[msgspec.Raw]:
    """Return the items at some places of a chunk, as they were sent."""
    raw = _ITEMS.decode(chunk.items)
    return [raw[place] for place in places]


def pack_done(done: ChunkOutcomes) -> bytes:
    """Return the packed form of a chunk's outcomes."""
    keys = array("q", (_NO_KEY if key is None else key for key in done.keys)).tobytes()
    packed = _PackedDone(keys, pack_outcomes(done.outcomes), done.lines)
    return zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(packed))


def unpack_done(packed: bytes) -> ChunkOutcomes:
    """Return the outcomes of a chunk from their packed form."""
    read = _done_decoder.decode(zstandard.ZstdDecompressor().decompress(packed))
    keys = array("q")
    keys.frombytes(read.keys)
    return ChunkOutcomes([None if key == _NO_KEY else key for key in keys], unpack_outcomes(read.outcomes), read.lines)
