"""Sources of batches: a file, bytes, a pipe; recognised by their first bytes, and split into their items."""

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO, RawIOBase
from itertools import chain
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias, TypeGuard, cast

import zstandard

from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.splitting import ArraySplitter, Splitter
from carecase_worker.client.files.formats import recognised
from carecase_worker.errors import BatchRefused, BatchUnreadable


class Readable(Protocol):
    """A file open for reading in binary mode, of which only `read` is used; it may be a pipe."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        ...


Source: TypeAlias = Path | bytes | bytearray | Readable
"""A source of a batch: JSON array or NDJSON, also compressed by gzip or zstd."""

_HEAD_BYTES = 64 << 10
_PIECE_BYTES = 256 << 10
_GZIP, _ZSTD, _ZSTD_SKIPPABLE = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18"


def is_source(batch: object) -> TypeGuard[Source]:
    """Return whether a batch is a source, not an iterable of cases; bytes and files are iterables, too."""
    return isinstance(batch, Path | bytes | bytearray) or hasattr(batch, "read")


@contextmanager
def opened(source: Source) -> Iterator[tuple[Readable, str]]:
    """Open a source; yield the file, and its name for messages. Raises BatchUnreadable."""
    if isinstance(source, Path):
        try:
            file = source.open("rb")
        except IsADirectoryError:
            raise BatchUnreadable(
                f"{source}: is a directory. Send its files one by one:"
                f' for file in {source}/*; do carecase submit "$file"; done'
            ) from None
        except OSError as error:
            raise BatchUnreadable(
                f"{source}: cannot be read ({error.strerror}). Check its name, and that you may read it."
            ) from None
        with file:
            yield file, str(source)
    elif isinstance(source, bytes | bytearray):
        yield BytesIO(source), "The batch"
    else:
        yield source, "The batch"


def look_into(file: Readable, name: str) -> tuple[str | None, bytes]:
    """Read the beginning of a file; return its Content-Encoding and its first bytes decompressed.

    Raises BatchUnreadable.
    """
    with reading_of(name):
        encoding, decoded = _decoded(file)
        return encoding, _head(decoded, name)


def compression_of(file: Readable) -> str | None:
    """Return the Content-Encoding of a file by its first bytes, which are consumed."""
    return _encoding(file.read(len(_ZSTD)))


def media_type_of(head: bytes) -> str:
    """Return the media type by the first bytes, decompressed: an array begins with [, lines begin with {."""
    is_lines = head.removeprefix(BOM_UTF8).lstrip().startswith(b"{")
    return "application/x-ndjson" if is_lines else "application/json"


def items_of(source: Source) -> Iterator[bytes]:
    """Read a source from its current position and yield its items; buffers a few megabytes.

    Raises BatchUnreadable.
    """
    with opened(source) as (file, name), reading_of(name):
        _, decoded = _decoded(file)
        head = _head(decoded, name)
        splitter: Splitter = (
            LineSplitter() if media_type_of(head) == "application/x-ndjson" else ArraySplitter(in_runs=False)
        )
        rest = iter(lambda: decoded.read(_PIECE_BYTES), b"")
        yield from split(chain((head,), rest), splitter)


def decompressed(file: Readable) -> IO[bytes]:
    """Return the decompressed stream of a file, whichever compression its first bytes show."""
    return _decoded(file)[1]


def split(pieces: Iterable[bytes], splitter: Splitter) -> Iterator[bytes]:
    """Split pieces of a text into items; yield them as bytes. Raises BatchRefused."""
    for piece in pieces:
        yield from map(bytes, splitter.feed(piece))
    yield from map(bytes, splitter.finish())


@contextmanager
def reading_of(name: str) -> Iterator[None]:
    """Turn the errors of reading a file into BatchUnreadable."""
    try:
        yield
    except BatchRefused as refusal:
        raise BatchUnreadable(f"{name}: {refusal}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError):
        raise BatchUnreadable(f"{name}: the compressed data is damaged or truncated. Compress it again.") from None
    except OSError as error:
        raise BatchUnreadable(f"{name}: cannot be read ({error.strerror})") from None


def _head(decoded: IO[bytes], name: str) -> bytes:
    """Read the first bytes. Raises BatchUnreadable, with what to do, if they are of another format."""
    head = piece = decoded.read(_HEAD_BYTES)
    while piece and not head.removeprefix(BOM_UTF8).lstrip():
        piece = decoded.read(_HEAD_BYTES)
        head += piece
    other = recognised(head, whole=len(piece) < _HEAD_BYTES)
    if other is not None:
        raise BatchUnreadable(f"{name}: this is {other}.")
    return head


class _Read(RawIOBase):
    """A raw stream over a file of which only `read` is called."""

    def __init__(self, file: Readable) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(len(buffer))
        if not isinstance(piece, bytes):
            raise BatchUnreadable("The file is open as text. Open it in binary mode, or give its Path.")
        buffer[: len(piece)] = piece
        return len(piece)


def _encoding(magic: bytes) -> str | None:
    """Return the Content-Encoding of a file by its first four bytes; None if it is not compressed."""
    if magic.startswith(_GZIP):
        return "gzip"
    is_skippable = magic[1:] == _ZSTD_SKIPPABLE and magic[0] & 0xF0 == 0x50
    return "zstd" if magic == _ZSTD or is_skippable else None


def _decoded(file: Readable) -> tuple[str | None, IO[bytes]]:
    """Recognise the compression of a file by its first bytes; return its name, and the decompressed stream."""
    buffered = BufferedReader(_Read(file), _PIECE_BYTES)
    encoding = _encoding(buffered.peek(len(_ZSTD))[: len(_ZSTD)])
    match encoding:
        case "gzip":
            return encoding, cast(IO[bytes], gzip.GzipFile(fileobj=buffered))
        case "zstd":
            unzstd = zstandard.ZstdDecompressor()
            return encoding, unzstd.stream_reader(buffered, read_across_frames=True)
        case _:
            return encoding, buffered
