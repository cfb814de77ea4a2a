"""Incremental decoding of a Content-Encoding, in bounded memory and into parts of bounded size."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import zstandard

from carecase_worker.batches.zstd_frames import PART_BYTES, Frames
from carecase_worker.errors import BatchFault, BatchRefused

_GZIP_SLICE_BYTES = 1 << 10  # which is copied once for each 256 KiB that it decodes to
_GZIP_MEMORY_BYTES = 48 << 10  # its window, and tables
_ZSTD_WINDOW_LOG = 23  # 8 MiB: what RFC 9659 lets a sender use
_WINDOW_TOO_LARGE = "Frame requires too much memory"


def encoding_of(content_encoding: str | None) -> str:
    """Return the encoding that a Content-Encoding names. Raises BatchRefused for an unsupported one or several."""
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    applied = [{"x-gzip": "gzip"}.get(name, name) for name in names if name not in ("", "identity")]
    if applied and applied not in (["gzip"], ["zstd"]):
        raise BatchRefused(
            BatchFault.ENCODING, "Send Content-Encoding: gzip or zstd, only one and only once, or leave the header out."
        )
    return applied[0] if applied else "identity"


class Decoder:
    """The decoder of a Content-Encoding; it allocates its memory at the first byte. Raises BatchRefused."""

    def __init__(self, content_encoding: str | None) -> None:
        self.encoding = encoding_of(content_encoding)
        ways: dict[str, Callable[[bytes], Iterator[bytes]]] = {"gzip": self._gzip, "zstd": self._zstd}
        self._way = ways.get(self.encoding, self._identity)
        self._member: Any = None
        self._unzstd: zstandard.ZstdDecompressor | None = None
        self._frames = Frames()
        self._decoding: Any = None

    @property
    def buffered_bytes(self) -> int:
        """The upper bound of its memory in bytes."""
        if self._unzstd is not None:
            return self._unzstd.memory_size()
        return 0 if self._member is None else _GZIP_MEMORY_BYTES

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Decode a piece, in parts of about `PART_BYTES` at most; an unencoded piece is yielded unchanged."""
        try:
            yield from self._way(piece)
        except zlib.error:
            raise self._broken() from None
        except zstandard.ZstdError as error:
            raise (_window_too_large() if _WINDOW_TOO_LARGE in str(error) else self._broken()) from None

    def finish(self) -> None:
        """Raise BatchRefused if the body is truncated."""
        if self._frames.is_broken_off or (self._member is not None and not self._member.eof):
            raise self._broken()

    def _identity(self, piece: bytes) -> Iterator[bytes]:
        yield piece

    def _gzip(self, piece: bytes) -> Iterator[bytes]:
        for start in range(0, len(piece), _GZIP_SLICE_BYTES):
            rest = piece[start : start + _GZIP_SLICE_BYTES]
            while rest:
                if self._member is None or self._member.eof:
                    if self._member is not None:
                        rest = rest.lstrip(b"\0")  # padding of tapes and some tools
                        if not rest:
                            break
                    self._member = zlib.decompressobj(31)
                yield self._member.decompress(rest, PART_BYTES)
                rest = self._member.unconsumed_tail or self._member.unused_data

    def _zstd(self, piece: bytes) -> Iterator[bytes]:
        if self._unzstd is None:
            self._unzstd = zstandard.ZstdDecompressor(max_window_size=1 << _ZSTD_WINDOW_LOG)
            self._decoding = self._unzstd.decompressobj(read_across_frames=True)
        for part in self._frames.parts(piece):
            yield self._decoding.decompress(part)

    def _broken(self) -> BatchRefused:
        return BatchRefused(
            BatchFault.BROKEN_ENCODING, f"The body is not valid {self.encoding}, or it is truncated. Send it again."
        )


def _window_too_large() -> BatchRefused:
    return BatchRefused(
        BatchFault.BROKEN_ENCODING,
        f"The zstd frame has a window of more than {1 << _ZSTD_WINDOW_LOG >> 20} MiB. Compress the body with"
        f" --long={_ZSTD_WINDOW_LOG} or less, and without --ultra.",
    )
