"""The request body: its media type, and its items as they come in."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from enum import Enum

import msgspec
from starlette.requests import ClientDisconnect

from carecase_worker.cases.batch import ITEM_BYTES, WINDOW_BYTES, ArraySplitter, Splitter
from carecase_worker.cases.lines import LineSplitter
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.intake.decoding import Decoder

_PIECE_BYTES = 1 << 20
_ENCODED_PIECE_BYTES = 256 << 10  # which decode to more
_MOST_PIECES = 1 << 10  # of a client that sends, or compresses, a few bytes at a time


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


class Body:
    """A body on its way in: decoded, bounded, digested and split, piece by piece. Nothing of it is kept."""

    def __init__(self, decoder: Decoder, form: Form, max_bytes: int, item_bytes: int = ITEM_BYTES) -> None:
        self._decoder = decoder
        self._splitter: Splitter = (
            ArraySplitter(item_bytes=item_bytes) if form is Form.ARRAY else LineSplitter(item_bytes)
        )
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._waiting_bytes = self._decoded_bytes = 0
        self.size = self.received = 0

    @property
    def sha256(self) -> str:
        """Digest of the decoded body, in hex."""
        return self._digest.hexdigest()

    @property
    def piece_bytes(self) -> int:
        """The bytes of it, as they are sent, that are worth taking at once."""
        return _PIECE_BYTES if self._decoder.encoding == "identity" else _ENCODED_PIECE_BYTES

    @property
    def held_bytes(self) -> int:
        """The memory that it holds by now, beside the piece that is being taken."""
        return self._decoder.held_bytes + self._decoded_bytes + self._waiting_bytes + self._splitter.held_bytes

    def is_small(self, piece: bytes, at_most: int) -> bool:
        """Tell if a piece is all of the body as it was sent, and no larger than that; it is then not compressed."""
        return not self.received and len(piece) <= at_most and self._decoder.encoding == "identity"

    def take(self, piece: bytes) -> Iterator[Sequence[msgspec.Raw]]:
        """Take a piece as it was sent; the items that are whole by now. Raises BatchRefused.

        Between two groups of items lies little work: a quarter megabyte that is decoded, 64 KiB of it that are split,
        or a thousand tiny parts.
        """
        self.received += len(piece)
        for number, decoded in enumerate(self._decoder.decode(piece), start=1):
            self.size += len(decoded)
            self._decoded_bytes = len(decoded)
            if max(self.size, self.received) > self._max_bytes:
                raise BatchRefused(
                    BatchFault.TOO_LARGE,
                    f"The body has more than {self._max_bytes} bytes. Send the cases in several batches.",
                )
            self._digest.update(decoded)
            for start in range(0, len(decoded), WINDOW_BYTES):
                part = decoded[start : start + WINDOW_BYTES]
                self._waiting.append(part)
                self._waiting_bytes += len(part)
                if self._waiting_bytes >= WINDOW_BYTES:
                    yield self._splitter.feed(self._joined())
            if number % _MOST_PIECES == 0:
                yield self._splitter.feed(self._joined())
        self._decoded_bytes = 0

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


def _started(work: Awaitable[None]) -> "asyncio.Future[None]":
    """Start work whose failure is told where it is awaited, or comes too late to be told."""
    started = asyncio.ensure_future(work)
    started.add_done_callback(lambda done: done.cancelled() or done.exception())
    return started


async def receive(
    stream: AsyncIterator[bytes],
    take: Callable[[bytes], Awaitable[None]],
    waits: Callable[[int], None],
    piece_bytes: int = _PIECE_BYTES,
) -> bytes:
    """Read a request's body: calls `take` with one piece after the other; what it does not return was taken.

    Pieces have `piece_bytes` or somewhat more, or less if it came in crumbs. One is taken while the next one comes in;
    `waits` is told how many bytes both have. Raises BatchRefused if the client breaks off.
    """
    waiting: list[bytes] = []
    waiting_bytes = taking_bytes = 0
    taking: asyncio.Future[None] | None = None

    try:
        async for piece in stream:
            waiting.append(piece)
            waiting_bytes += len(piece)
            if taking is not None and taking.done():
                taking.result()
                taking_bytes = 0
            waits(waiting_bytes + taking_bytes)
            if waiting_bytes >= piece_bytes or len(waiting) >= _MOST_PIECES:
                if taking is not None:
                    await taking
                taking = _started(take(b"".join(waiting)))
                waiting, waiting_bytes, taking_bytes = [], 0, waiting_bytes
        if taking is not None:
            await taking
    except ClientDisconnect:
        raise BatchRefused(BatchFault.BROKEN_OFF, "The request broke off. Send it again.") from None
    finally:
        if taking is not None:
            await asyncio.wait([taking])  # whoever goes on from here finds nobody else at work
    return b"".join(waiting)
