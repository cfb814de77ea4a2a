"""Skipping of items that are too large to store: only their end is searched for."""

from bisect import bisect_left
from itertools import accumulate, count
from operator import sub

from carecase_worker.batches.faults import too_large

_BLOCK_BYTES = 4 << 10
_MOST_BYTES = 16 << 20
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NO_ENDS = bytes(set(range(256)) - set(b",]}"))
_PAIRS = tuple(b"[" * depth + b"]" * depth for depth in (128, 32, 8, 2, 1)) * 2
_STEPS = bytes.maketrans(b"[]", b"\2\0")  # each one more than what it adds to the level


class Allowance:
    """The number of bytes of a body that may be skipped, since scanning them costs time for nothing."""

    def __init__(self) -> None:
        self._left_bytes = _MOST_BYTES

    def spend(self, size: int) -> None:
        """Count bytes that are skipped. Raises BatchRefused if they are too many."""
        self._left_bytes -= size
        if self._left_bytes < 0:
            raise too_large("The body has items that are too large, together of", _MOST_BYTES)


class Passage:
    """A scan over one array item, up to the delimiter after it; `first` is the item's first byte.

    Only brackets and strings matter after that; bytes are scanned block by block, each a few times.
    """

    def __init__(self, first: bytes) -> None:
        self._depth = int(first in (b"[", b"{"))
        self._in_string = first == b'"'

    def feed(self, text: bytes) -> tuple[int, bool]:
        """Skip bytes of a text; return their number, and whether the delimiter (comma or bracket) is next."""
        at = 0
        while at < len(text):
            block = text[at : at + _BLOCK_BYTES]
            if _ends_in_escape(block):
                block = block[:-1]  # the byte that the backslash belongs to is to come
                if not block:
                    break
            plain, in_string = self._outside_strings(block)
            if self._ends_in(plain):
                size = self._size_to_end(block)
                if not self._depth:
                    return at + size - 1, True
                self._depth, self._in_string = 0, False  # the sign is still to come
                at += size
                continue
            if self._depth:
                self._depth += _levels(plain)[1]
            self._in_string = in_string
            at += len(block)
        return at, False

    def _size_to_end(self, block: bytes) -> int:
        """Return the size of the shortest prefix of a block in which the item ends."""
        return bisect_left(
            range(len(block)), True, key=lambda size: self._ends_in(self._outside_strings(block[:size])[0])
        )

    def _outside_strings(self, block: bytes) -> tuple[bytes, bool]:
        """Return a block without its strings, and whether it ends within one."""
        parts = block.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        return b"".join(parts[self._in_string :: 2]), self._in_string == len(parts) % 2

    def _ends_in(self, plain: bytes) -> bool:
        """Return whether the item ends in a block without strings: with its last bracket, or before the delimiter."""
        if not self._depth:
            return bool(plain.translate(None, _NO_ENDS))
        return self._depth + _levels(plain)[0] <= 0


def _levels(plain: bytes) -> tuple[int, int]:
    """Return the lowest and the last nesting level that the brackets of a text lead to, starting at 0."""
    brackets = plain.translate(_SQUARE, _NO_BRACKETS)
    for pairs in _PAIRS:  # pairs change neither level, and are most of the brackets
        brackets = brackets.replace(pairs, b"")
    levels = list(map(sub, accumulate(brackets.translate(_STEPS), initial=0), count()))
    return min(levels), levels[-1]


def _ends_in_escape(block: bytes) -> bool:
    """Return whether the last byte is a backslash that escapes the next byte."""
    return (len(block) - len(block.rstrip(b"\\"))) % 2 == 1
