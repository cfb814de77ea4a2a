"""The request body: its media type, its bounded decompression, and its items as they come in."""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from enum import Enum
from typing import Any

import msgspec
import zstandard
from starlette.requests import ClientDisconnect

from carecase_worker.cases.batch import ITEM_BYTES, ArraySplitter, Splitter
from carecase_worker.cases.lines import LineSplitter
from carecase_worker.errors import BatchFault, BatchRefused

# what one slice decodes to is bounded: gzip makes a thousand times as much of it, zstd thirty thousand times
_GZIP_SLICE_BYTES = 1 << 10
_ZSTD_SLICE_BYTES = 1 << 7
_ZSTD_WINDOW_LOG = 23  # 8 MiB: what RFC 9659 lets a sender use
_WINDOW_TOO_LARGE = "Frame requires too much memory"
_PIECE_BYTES = 1 << 20
_MOST_PIECES = 1 << 10  # of a client that sends a few bytes at a time
_DECODED_BYTES = 256 << 10


class Form(Enum):
    """How a body lists its items."""

    ARRAY = "array"
    LINES = "lines"


def form_of(content_type: str | None) -> Form:
    """The form that a Content-Type stands for. Raises BatchRefused if it is none of ours."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type == "application/x-ndjson":
        return Form.LINES
    is_json_suffix = media_type.startswith("application/") and media_type.endswith("+json")
    if media_type in ("application/json", "text/json") or is_json_suffix:
        return Form.ARRAY
    raise BatchRefused(
        BatchFault.MEDIA_TYPE,
        "Send Content-Type: application/json with an array, or application/x-ndjson with one case a line.",
    )


Decode = Callable[[bytes], Iterator[bytes]]


def encoding_of(content_encoding: str | None) -> str:
    """The one encoding that a Content-Encoding names. Raises BatchRefused if it is none of ours, or several."""
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    applied = [{"x-gzip": "gzip"}.get(name, name) for name in names if name not in ("", "identity")]
    if applied and applied not in (["gzip"], ["zstd"]):
        raise BatchRefused(
            BatchFault.ENCODING, "Send Content-Encoding: gzip or zstd, one of them and once, or leave it out."
        )
    return applied[0] if applied else "identity"


class Decoder:
    """Undoes a Content-Encoding piece by piece, in pieces of bounded size. Raises BatchRefused."""

    def __init__(self, content_encoding: str | None) -> None:
        ways: dict[str, Decode] = {"identity": self._identity, "gzip": self._gzip, "zstd": self._zstd}
        self._name = encoding_of(content_encoding)
        self._way = ways[self._name]
        self._inflate = zlib.decompressobj(31)
        self._unzstd = _zstd_frame()
        self._fed = False

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """What a piece decodes to."""
        self._fed = self._fed or bool(piece)
        try:
            yield from self._way(piece)
        except zlib.error:
            raise self._broken() from None
        except zstandard.ZstdError as error:
            raise (_window_too_large() if _WINDOW_TOO_LARGE in str(error) else self._broken()) from None

    def finish(self) -> None:
        """Raises BatchRefused if the body broke off."""
        ended = {"identity": True, "gzip": self._inflate.eof, "zstd": self._unzstd.eof}[self._name]
        if self._fed and not ended:
            raise self._broken()

    def _identity(self, piece: bytes) -> Iterator[bytes]:
        yield piece

    def _gzip(self, piece: bytes) -> Iterator[bytes]:
        for start in range(0, len(piece), _GZIP_SLICE_BYTES):
            rest = piece[start : start + _GZIP_SLICE_BYTES]
            while rest:
                if self._inflate.eof:
                    rest = rest.lstrip(b"\0")  # padding, as tapes and some tools leave it
                    if not rest:
                        break
                    self._inflate = zlib.decompressobj(31)
                yield self._inflate.decompress(rest, _DECODED_BYTES)
                rest = self._inflate.unconsumed_tail or self._inflate.unused_data

    def _zstd(self, piece: bytes) -> Iterator[bytes]:
        for start in range(0, len(piece), _ZSTD_SLICE_BYTES):
            rest = piece[start : start + _ZSTD_SLICE_BYTES]
            while rest:
                if self._unzstd.eof:
                    self._unzstd = _zstd_frame()
                yield self._unzstd.decompress(rest)
                rest = self._unzstd.unused_data

    def _broken(self) -> BatchRefused:
        return BatchRefused(
            BatchFault.BROKEN_ENCODING, f"The body is not {self._name}, or it broke off. Send it again."
        )


def _zstd_frame() -> Any:
    return zstandard.ZstdDecompressor(max_window_size=1 << _ZSTD_WINDOW_LOG).decompressobj()


def _window_too_large() -> BatchRefused:
    return BatchRefused(
        BatchFault.BROKEN_ENCODING,
        f"The zstd frame has a window of more than {1 << _ZSTD_WINDOW_LOG >> 20} MiB. Compress the body with"
        f" --long={_ZSTD_WINDOW_LOG} or less, and without --ultra.",
    )


class Body:
    """A body on its way in: decoded, bounded, digested and split, piece by piece. Nothing of it is kept."""

    def __init__(self, decoder: Decoder, form: Form, max_bytes: int, item_bytes: int = ITEM_BYTES) -> None:
        self._decoder = decoder
        self._splitter: Splitter = (
            ArraySplitter(item_bytes=item_bytes) if form is Form.ARRAY else LineSplitter(item_bytes)
        )
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._received = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self.size = 0

    @property
    def sha256(self) -> str:
        """Digest of the decoded body, in hex."""
        return self._digest.hexdigest()

    def take(self, piece: bytes) -> Iterator[Sequence[msgspec.Raw]]:
        """Take a piece as it was sent; the items that are whole by now. Raises BatchRefused."""
        self._received += len(piece)
        for decoded in self._decoder.decode(piece):
            self.size += len(decoded)
            if max(self.size, self._received) > self._max_bytes:
                raise BatchRefused(
                    BatchFault.TOO_LARGE,
                    f"The body has more than {self._max_bytes} bytes. Send the cases in several batches.",
                )
            self._digest.update(decoded)
            for start in range(0, len(decoded), _DECODED_BYTES):
                part = decoded[start : start + _DECODED_BYTES]
                self._waiting.append(part)
                self._waiting_bytes += len(part)
                if self._waiting_bytes >= _DECODED_BYTES:
                    yield self._splitter.feed(self._joined())

    def finish(self) -> Iterator[Sequence[msgspec.Raw]]:
        """The rest of the items. Raises BatchRefused."""
        self._decoder.finish()
        yield self._splitter.feed(self._joined())
        yield self._splitter.finish()

    def _joined(self) -> bytes:
        """What has been decoded and not been split."""
        joined = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        return joined


async def receive(stream: AsyncIterator[bytes], take: Callable[[bytes], Awaitable[None]]) -> bytes:
    """Read a request's body: calls `take` with one piece after the other; what it does not return was taken.

    Pieces have a megabyte, or less if it came in crumbs. One is taken while the next one comes in. Raises BatchRefused
    if the client breaks off.
    """
    waiting: list[bytes] = []
    waiting_bytes = 0
    taking: asyncio.Future[None] | None = None

    try:
        async for piece in stream:
            waiting.append(piece)
            waiting_bytes += len(piece)
            if waiting_bytes >= _PIECE_BYTES or len(waiting) >= _MOST_PIECES:
                if taking is not None:
                    await taking
                taking = asyncio.ensure_future(take(b"".join(waiting)))
                waiting, waiting_bytes = [], 0
        if taking is not None:
            await taking
    except ClientDisconnect:
        raise BatchRefused(BatchFault.BROKEN_OFF, "The request broke off. Send it again.") from None
    finally:
        if taking is not None:
            await asyncio.wait([taking])  # whoever goes on from here finds nobody else at work
    return b"".join(waiting)
