"""Encoding of chunk payloads, and of the outcomes of chunks.

A payload begins with a format byte. Format 1: the length of a msgpack header as a 32-bit little-endian number, the
header, then the items as a zstd-compressed JSON array. Format 2 is the same for a dry run, so that a worker that does
not support dry runs cannot apply it as a batch. A released format stays readable for ever.
"""

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import zstandard

from carecase_worker.batches.chunking import Chunk
from carecase_worker.batches.line_numbers import LineRuns, NumberedItems, lines_of_runs
from carecase_worker.cases.outcomes import Outcome, pack_outcomes, unpack_outcomes
from carecase_worker.errors import PayloadUnreadable

_FORM_1, _FORM_2 = b"\x01", b"\x02"
_NO_KEY = -(2**63)
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
class ChunkOutcomes:
    """The outcomes of a chunk's items, the keys of their cases, and their lines if they were rows of a file."""

    keys: Sequence[int | None]
    outcomes: Sequence[Outcome]
    lines: LineRuns = ()


def pack(chunk: Chunk) -> bytes:
    """Return the payload of a chunk."""
    header = msgspec.msgpack.encode(_Header(chunk.first, chunk.count, dict(chunk.refused), chunk.lines))
    compressed = zstandard.ZstdCompressor(level=1).compress(chunk.items)
    form = _FORM_2 if chunk.dry_run else _FORM_1
    return b"".join((form, _LENGTH.pack(len(header)), header, compressed))


def unpack(payload: bytes) -> Chunk:
    """Return the chunk of a payload. Raises PayloadUnreadable."""
    form = payload[:1]
    if form not in (_FORM_1, _FORM_2):
        raise PayloadUnreadable("the payload has a format that this worker does not know; upgrade the worker")
    try:
        start = 1 + _LENGTH.size
        end = start + _LENGTH.unpack_from(payload, 1)[0]
        header = _header_decoder.decode(payload[start:end])
        items = zstandard.ZstdDecompressor().decompress(payload[end:])
    except (struct.error, msgspec.DecodeError, zstandard.ZstdError):
        raise PayloadUnreadable("the payload is damaged; cancel the job, and have its sender send it again") from None
    return Chunk(header.first, header.count, items, header.refused, header.lines, dry_run=form == _FORM_2)


def items_at(chunk: Chunk, places: Sequence[int]) -> list[msgspec.Raw]:
    """Return the items at some indices of a chunk, as they were sent, with their lines if they were rows of a file."""
    raw = _ITEMS.decode(chunk.items)
    items = [raw[place] for place in places]
    if not chunk.lines:
        return items
    lines = list(lines_of_runs(chunk.lines, chunk.count))
    return NumberedItems(items, [lines[place] for place in places])


def pack_done(done: ChunkOutcomes) -> bytes:
    """Encode a chunk's outcomes."""
    keys = array("q", (_NO_KEY if key is None else key for key in done.keys)).tobytes()
    packed = _PackedDone(keys, pack_outcomes(done.outcomes), done.lines)
    return zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(packed))


def unpack_done(packed: bytes) -> ChunkOutcomes:
    """Decode a chunk's outcomes. Raises PayloadUnreadable."""
    keys = array("q")
    try:
        read = _done_decoder.decode(zstandard.ZstdDecompressor().decompress(packed))
        keys.frombytes(read.keys)
        outcomes = unpack_outcomes(read.outcomes)
    except (msgspec.DecodeError, zstandard.ZstdError, ValueError, LookupError):
        raise PayloadUnreadable("the result has a format that this version does not know, or is damaged") from None
    return ChunkOutcomes([None if key == _NO_KEY else key for key in keys], outcomes, read.lines)
