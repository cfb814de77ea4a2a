"""Compressed sets of the case keys that a batch may write; batches with disjoint sets can be applied in any order."""

from array import array
from collections.abc import Iterable
from typing import Self

from pyroaring import BitMap

from carecase_worker.batches.faults import refusing_deep_nesting
from carecase_worker.batches.item_runs import UINT32, plain_keys
from carecase_worker.cases.validation import keys_of
from carecase_worker.errors import PayloadUnreadable

_CONTAINER_BYTES = 64
"""Memory of one of a bitmap's containers beside its keys, as measured."""


class KeySet:
    """A set of case keys, each modulo 2**32; a roaring bitmap (roaringbitmap.org). Grows only."""

    def __init__(self, keys: "array[int] | BitMap | None" = None) -> None:
        self._keys = keys if isinstance(keys, BitMap) else BitMap(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __and__(self, other: "KeySet") -> Self:
        return type(self)(self._keys & other._keys)

    def __sub__(self, other: "KeySet") -> Self:
        return type(self)(self._keys - other._keys)

    @property
    def memory_bytes(self) -> int:
        """The approximate memory of the set: by how scattered its keys are, less than a byte to 66 for each."""
        parts = self._keys.get_statistics()
        keys_bytes = (
            parts["n_bytes_array_containers"] + parts["n_bytes_run_containers"] + parts["n_bytes_bitset_containers"]
        )
        return keys_bytes + _CONTAINER_BYTES * parts["n_containers"]

    def add(self, others: "KeySet") -> None:
        """Add the keys of another set."""
        self._keys |= others._keys

    def meets(self, other: "KeySet") -> bool:
        """Return whether the sets intersect."""
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


@refusing_deep_nesting()
def written_keys(items: bytes) -> "array[int]":
    """Return the key of every item of a JSON array that may be valid, each modulo 2**32.

    Raises BatchRefused if an item is nested too deeply.
    """
    try:
        return plain_keys(items)
    except ValueError:  # at least one item has no key that can be read so
        return array("I", [key % UINT32 for key in keys_of(items) if key is not None])
