"""Parsing of zstd frames (RFC 8878) block by block without decoding, to bound the decoded size of each part and to find
the end of each frame."""

from collections.abc import Iterator

import zstandard

PART_BYTES = 256 << 10
"""Approximate maximum of decoded bytes per part of a body; it keeps each step of a thread short."""

_BLOCK_DECODED_BYTES = 128 << 10  # a compressed block decodes to no more, whatever its size
_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"  # behind a first byte whose upper half is 5
_LEAST_HEADER, _LONGEST_HEADER = 5, 18
_BLOCK_HEADER_BYTES = 3
_CHECKSUM_BYTES = 4
_RAW, _RLE = 0, 1


class Frames:
    """An incremental cutter of frames into parts that each decode to about 256 KiB at most."""

    def __init__(self) -> None:
        self._header = b""  # as far as it has come
        self._ahead_bytes = 0  # of what the last header announced
        self._is_in_frame = False
        self._checksum_bytes = 0

    @property
    def is_broken_off(self) -> bool:
        """Return whether a frame has begun and not ended."""
        return bool(self._header or self._ahead_bytes or self._is_in_frame)

    def parts(self, piece: bytes) -> Iterator[bytes]:
        """Yield the parts of a piece; an incomplete header waits for the next piece. Raises ZstdError if not zstd."""
        text = self._header + piece
        start, at, decoded_bytes = 0, self._ahead_bytes, 0
        while at < len(text):
            size, more_bytes = self._frame(text, at) if not self._is_in_frame else self._block(text, at)
            if not size:
                break
            if decoded_bytes + more_bytes > PART_BYTES:
                yield text[start:at]
                start, decoded_bytes = at, 0
            at += size
            decoded_bytes += more_bytes
        end = min(at, len(text))
        self._header, self._ahead_bytes = text[end:], at - end
        if start < end:
            yield text[start:end]

    def _frame(self, text: bytes, at: int) -> tuple[int, int]:
        """Return the size of a frame's header, or of a skippable frame, 0 if incomplete; and 0, its decoded size."""
        header = text[at : at + _LONGEST_HEADER]
        if len(header) < _LEAST_HEADER:
            return 0, 0
        if header[1:4] == _SKIPPABLE and header[0] >> 4 == 5:
            return (8 + int.from_bytes(header[4:8], "little") if len(header) >= 8 else 0), 0
        if header[:4] != _MAGIC:
            raise zstandard.ZstdError("no frame")
        size = zstandard.frame_header_size(header)
        if size > len(header):
            return 0, 0
        self._is_in_frame = True
        self._checksum_bytes = _CHECKSUM_BYTES if header[4] & 4 else 0
        return size, 0

    def _block(self, text: bytes, at: int) -> tuple[int, int]:
        """Return the size of a block with header and checksum, 0 if incomplete; and its decoded size at most."""
        if at + _BLOCK_HEADER_BYTES > len(text):
            return 0, 0
        header = int.from_bytes(text[at : at + _BLOCK_HEADER_BYTES], "little")
        kind, declared_bytes = header >> 1 & 3, header >> 3
        size = _BLOCK_HEADER_BYTES + (1 if kind == _RLE else declared_bytes)
        if header & 1:  # the last one
            self._is_in_frame = False
            size += self._checksum_bytes
        return size, declared_bytes if kind in (_RAW, _RLE) else _BLOCK_DECODED_BYTES
