"""The set of the cases' keys of a batch, compressed: two batches that share none may be applied in any order."""

from array import array
from collections.abc import Iterable
from typing import Self

from pyroaring import BitMap

from carecase_worker.errors import PayloadUnreadable

_SMALL = 10_000


class KeySet:
    """A set of case keys, each modulo 2**32; a roaring bitmap (roaringbitmap.org). Grows only."""

    def __init__(self, keys: "array[int] | BitMap | None" = None) -> None:
        self._keys = BitMap(keys)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def is_small(self) -> bool:
        """True if unions with it cost little."""
        return len(self._keys) <= _SMALL

    def add(self, others: "KeySet") -> None:
        """Add the keys of another set."""
        self._keys |= others._keys

    def meets(self, other: "KeySet") -> bool:
        """Return whether the sets share a key."""
        return self._keys.intersect(other._keys)

    def packed(self) -> bytes:
        """Return the set in the portable format of roaring bitmaps."""
        self._keys.run_optimize()
        return self._keys.serialize()

    @classmethod
    def unpacked(cls, packed: bytes) -> Self:
        """Return the set from its packed form. Raises PayloadUnreadable."""
        try:
            return cls(BitMap.deserialize(packed))
        except (ValueError, IndexError):
            raise PayloadUnreadable("the set of the batch's keys is damaged") from None

    @classmethod
    def union(cls, sets: Iterable["KeySet"]) -> Self:
        """Return the union of some sets."""
        made = cls()
        for one in sets:
            made.add(one)
        return made
