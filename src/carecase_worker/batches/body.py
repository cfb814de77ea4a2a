"""A request body, decoded and split into items while it is received."""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from carecase_worker.batches.decoding import Decoder
from carecase_worker.batches.splitting import WINDOW_BYTES, Splitter
from carecase_worker.errors import BatchFault, BatchRefused

PIECE_BYTES = 1 << 20
_ENCODED_PIECE_BYTES = 256 << 10  # which decode to more
MAX_PIECES = 1 << 10  # of a client that sends, or compresses, a few bytes at a time


class Body:
    """A body that is decoded, size-checked, digested and split piece by piece. It keeps no items."""

    def __init__(self, decoder: Decoder, splitter: Splitter, max_bytes: int) -> None:
        self._decoder = decoder
        self._splitter = splitter
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._waiting_bytes = self._decoded_bytes = 0
        self.size = self.received = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 digest of the decoded body, in hex."""
        return self._digest.hexdigest()

    @property
    def piece_bytes(self) -> int:
        """The size in bytes, as sent, from which a piece is worth a call of `take`."""
        return PIECE_BYTES if self._decoder.encoding == "identity" else _ENCODED_PIECE_BYTES

    @property
    def buffered_bytes(self) -> int:
        """The memory in bytes that the body uses now, without the piece that is being processed."""
        return self._decoder.buffered_bytes + self._decoded_bytes + self._waiting_bytes + self._splitter.buffered_bytes

    def is_small(self, piece: bytes, at_most: int) -> bool:
        """Return whether a piece is the whole body, uncompressed and no larger than `at_most` bytes."""
        return not self.received and len(piece) <= at_most and self._decoder.encoding == "identity"

    def take(self, piece: bytes) -> Iterator[Sequence[msgspec.Raw]]:
        """Process a piece as sent; yield groups of the items completed by it. Raises BatchRefused.

        The work between two groups is bounded: 256 KiB to decode, 64 KiB to split, or a thousand tiny parts.
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
            if number % MAX_PIECES == 0:
                yield self._splitter.feed(self._joined())
        self._decoded_bytes = 0

    def finish(self) -> Iterator[Sequence[msgspec.Raw]]:
        """Yield the rest of the items. Raises BatchRefused."""
        self._decoder.finish()
        yield self._splitter.feed(self._joined())
        yield self._splitter.finish()

    def _joined(self) -> bytes:
        """Remove and return the decoded bytes that have not been split."""
        joined = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        return joined
