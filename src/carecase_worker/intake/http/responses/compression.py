"""Streaming compression of responses."""

import zlib
from collections.abc import Iterable, Iterator

import zstandard


def compressed(pieces: Iterable[bytes], encoding: str | None) -> Iterator[bytes]:
    """Compress pieces with an encoding; a piece is empty if the encoder buffers it."""
    match encoding:
        case "zstd":
            zstd = zstandard.ZstdCompressor(level=1).compressobj()
            return _in_pieces(pieces, zstd, zstandard.COMPRESSOBJ_FLUSH_FINISH)
        case "gzip":
            return _in_pieces(pieces, zlib.compressobj(1, wbits=31), zlib.Z_FINISH)
        case _:
            return iter(pieces)


def _in_pieces(
    pieces: Iterable[bytes], way: "zstandard.ZstdCompressionObj | zlib._Compress", finish: int
) -> Iterator[bytes]:
    for piece in pieces:
        yield way.compress(piece)
    yield way.flush(finish)
