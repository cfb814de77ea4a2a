"""Answers compressed while they are made."""

import zlib
from collections.abc import Iterable, Iterator

import zstandard


def compressed(pieces: Iterable[bytes], encoding: str | None) -> Iterator[bytes]:
    """The pieces in an encoding; the first one is not held back until there are more."""
    match encoding:
        case "zstd":
            zstd = zstandard.ZstdCompressor(level=1).compressobj()
            return _in_pieces(pieces, zstd, zstandard.COMPRESSOBJ_FLUSH_BLOCK, zstandard.COMPRESSOBJ_FLUSH_FINISH)
        case "gzip":
            return _in_pieces(pieces, zlib.compressobj(1, wbits=31), zlib.Z_SYNC_FLUSH, zlib.Z_FINISH)
        case _:
            return iter(pieces)


def _in_pieces(
    pieces: Iterable[bytes], way: "zstandard.ZstdCompressionObj | zlib._Compress", flush: int, finish: int
) -> Iterator[bytes]:
    flushed = False
    for piece in pieces:
        ready = way.compress(piece)
        if not flushed:
            ready, flushed = ready + way.flush(flush), True
        if ready:
            yield ready
    yield way.flush(finish)
