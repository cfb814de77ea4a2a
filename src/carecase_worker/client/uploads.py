"""Batches as they are sent: files and bytes as they are, cases as a JSON array."""

import gzip
import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Any, Self, TypeAlias, cast

import msgspec
import zstandard
from pydantic import BaseModel

from carecase_worker.errors import BatchUnreadable

Case: TypeAlias = Mapping[str, Any] | BaseModel
"""One case: a mapping of the contract's field names, or a CareCase. Members that are left out stay left out."""

Source: TypeAlias = Path | bytes | IO[bytes]
"""A batch as it lies somewhere: JSON array or NDJSON, also gzip or zstd of either; a file must be able to seek."""

Batch: TypeAlias = Iterable[Case] | Source
"""What one batch may be given as. Bytes and files are iterables, too, but never of cases."""

BATCH_ITEMS = 10_000
BATCH_BYTES = 16 << 20
"""What `submit_all` puts into one batch at most."""

_PIECE_BYTES = 256 << 10
_HELD_BYTES = BATCH_BYTES
_HEAD_BYTES = 64 << 10
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_GZIP, _ZSTD, _ZSTD_SKIPPABLE = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18"


@dataclass(frozen=True, slots=True)
class Upload:
    """A batch that can be told piece by piece, as often as need be."""

    pieces: Callable[[], Iterator[bytes]]
    content_type: str = "application/json"
    content_encoding: str | None = None


class Gathering:
    """Cases, gathered into a batch; in memory as long as it is small, then on disk. Ends with its `with` block."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self._file = SpooledTemporaryFile[bytes](max_size=_HELD_BYTES)
        self.items = 0
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._file.close()

    def add(self, item: bytes) -> None:
        """Put an item at the end."""
        self.size += self._file.write(b"," if self.items else b"[") + self._file.write(item)
        self.items += 1

    def upload(self) -> Upload:
        """The batch as a JSON array; nothing can be added after that."""
        self._file.write(b"]" if self.items else b"[]")
        return Upload(lambda: _pieces(self._file, nothing_sent))


class Batches:
    """Cuts a stream of cases into batches of bounded size, and holds no more than one of them."""

    def __init__(self, items: int, size: int) -> None:
        self._items = items
        self._size = size
        self._open = Gathering()
        self._number = 0

    def add(self, case: Case) -> Iterator[Gathering]:
        """Take a case; the batches that are full now, to be sent before the next case is taken."""
        item = encoded(case, self._number)
        self._number += 1
        if self._open.items and self._open.size + len(item) + len(b",]") > self._size:
            yield self._taken()
        self._open.add(item)
        if self._open.items >= self._items:
            yield self._taken()

    def rest(self) -> Iterator[Gathering]:
        """The last batch, if there is one."""
        if self._open.items:
            yield self._taken()

    def _taken(self) -> Gathering:
        full, self._open = self._open, Gathering(self._open.number + 1)
        return full


def encoded(case: Case, number: int) -> bytes:
    """A case as JSON; `number` is what an error calls it. Raises BatchUnreadable."""
    members = case.model_dump(exclude_unset=True) if isinstance(case, BaseModel) else case
    if not isinstance(members, Mapping):
        raise BatchUnreadable(f"Case {number} is none: give mappings or CareCases, or a Path, a file or bytes.")
    if any(isinstance(value, float) and not isfinite(value) for value in members.values()):
        raise BatchUnreadable(f"Case {number} holds a number that is not finite; JSON has none.")
    try:
        return _ENCODER.encode(dict(members))
    except (TypeError, ValueError):
        raise BatchUnreadable(f"Case {number} holds a value that JSON has not.") from None


def nothing_sent(_: int) -> None:
    """What is told of the progress of an upload if nobody wants to know."""


@contextmanager
def reading(batch: Batch, sent: Callable[[int], None] = nothing_sent) -> Iterator[Upload]:
    """A batch as an upload; calls `sent` with the size of each piece of a file that is sent. Raises BatchUnreadable."""
    if isinstance(batch, Path):
        try:
            file = batch.open("rb")
        except OSError as error:
            raise BatchUnreadable(f"{batch}: cannot be read ({error.strerror})") from None
        with file:
            yield _upload(file, sent)
    elif isinstance(batch, bytes):
        yield _upload(BytesIO(batch), sent)
    elif hasattr(batch, "read"):
        yield _upload(cast(IO[bytes], batch), sent)
    else:
        with Gathering() as gathered:
            for number, case in enumerate(batch):
                gathered.add(encoded(case, number))
            yield gathered.upload()


def _upload(file: IO[bytes], sent: Callable[[int], None]) -> Upload:
    """A file as an upload, its form told from its first bytes."""
    try:
        file.seek(0)
        magic = file.read(len(_ZSTD))
        if not isinstance(magic, bytes):
            raise BatchUnreadable("The file is open as text. Open it in binary mode, or give its Path.")
        encoding = _encoding(magic)
        file.seek(0)
        kind = _content_type(file, encoding)
    except OSError:
        raise BatchUnreadable("The file cannot be read from its beginning. Give its Path, or its bytes.") from None
    return Upload(lambda: _pieces(file, sent), kind, encoding)


def _encoding(magic: bytes) -> str | None:
    """The Content-Encoding of a file that begins with these four bytes."""
    if magic.startswith(_GZIP):
        return "gzip"
    is_skippable = magic[1:] == _ZSTD_SKIPPABLE and magic[0] & 0xF0 == 0x50
    return "zstd" if magic == _ZSTD or is_skippable else None


def _content_type(file: IO[bytes], encoding: str | None) -> str:
    """The media type of a batch: lines begin with an object that is whole on its line, all else may be an array."""
    plain: IO[bytes] = file
    if encoding == "gzip":
        plain = cast(IO[bytes], gzip.GzipFile(fileobj=file))
    elif encoding == "zstd":
        plain = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
    try:
        head = plain.read(_HEAD_BYTES).removeprefix(BOM_UTF8).lstrip()
        while not head and (more := plain.read(_HEAD_BYTES)):
            head = more.lstrip()
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError):
        head = b""  # the service says what is wrong with it
    return "application/x-ndjson" if _begins_with_a_line(head) else "application/json"


def _begins_with_a_line(head: bytes) -> bool:
    line, line_feed, _ = head.partition(b"\n")
    if line[:1] != b"{":
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return not line_feed  # else it is an object over several lines
    return True


def _pieces(file: IO[bytes], sent: Callable[[int], None]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        yield piece
        sent(len(piece))
