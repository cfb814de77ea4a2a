"""Runs: neighbouring items of a batch as one JSON text with their keys, so that it is not parsed again to cut it."""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Self, overload

import msgspec

from carecase_worker.batches.faults import refusing_deep_nesting
from carecase_worker.cases.care_case import INT32_MAX, INT32_MIN

UINT32 = 1 << 32


class _KeyAlone(msgspec.Struct, gc=False):
    case_Key: Annotated[int, msgspec.Meta(ge=INT32_MIN, le=INT32_MAX)]


_KEYS = msgspec.json.Decoder(list[_KeyAlone])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def plain_keys(items: bytes) -> "array[int]":
    """Return the key of every item of a JSON array, each modulo 2**32.

    Raises msgspec.DecodeError unless each item is an object with a valid key; RecursionError if one is nested deeply.
    """
    return array("I", [item.case_Key % UINT32 for item in _KEYS.decode(items)])


def array_of(items: Iterable[bytes | memoryview | msgspec.Raw]) -> bytes:
    """Return items as a JSON array."""
    return b"[%b]" % b",".join(items)


def without_blanks(items: Sequence[msgspec.Raw], size: int) -> Sequence[msgspec.Raw]:
    """Return items that are parts of a text of so many bytes, as copies if they would keep many blanks in memory."""
    return [item.copy() for item in items] if 2 * sum(map(len, items)) < size else items


class ItemRun(Sequence[msgspec.Raw]):
    """Items as one JSON array, with their keys modulo 2**32; read as a sequence, it parses the array."""

    def __init__(self, text: bytes, keys: "array[int]") -> None:
        self.text = text
        self.keys = keys
        self._raw: list[msgspec.Raw] | None = None

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Return the items of a JSON array. Raises as `plain_keys` does."""
        return cls(text, plain_keys(text))

    @property
    def inner(self) -> memoryview:
        """The text between the brackets of the array."""
        return memoryview(self.text)[1:-1]

    @property
    def size(self) -> int:
        """The length of that text in bytes."""
        return len(self.text) - 2

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, place: int) -> msgspec.Raw: ...

    @overload
    def __getitem__(self, place: slice) -> list[msgspec.Raw]: ...

    def __getitem__(self, place: int | slice) -> msgspec.Raw | list[msgspec.Raw]:
        return self._items()[place]

    def __iter__(self) -> Iterator[msgspec.Raw]:
        return iter(self._items())

    def separate(self) -> Sequence[msgspec.Raw]:
        """Return the items one by one, as copies if the text is mostly blanks."""
        return without_blanks(self._items(), self.size)

    def split(self, count: int) -> "tuple[ItemRun, ItemRun]":
        """Return the first `count` items and the others, as two runs; this parses the text."""
        items, keys = self._items(), self.keys
        return ItemRun(array_of(items[:count]), keys[:count]), ItemRun(array_of(items[count:]), keys[count:])

    def _items(self) -> list[msgspec.Raw]:
        """Return the items. Raises BatchRefused if one is nested too deeply."""
        if self._raw is None:
            with refusing_deep_nesting():
                self._raw = _ARRAY.decode(self.text)
        return self._raw


class WaitingRuns:
    """A queue of runs, from which items are taken by their number."""

    def __init__(self) -> None:
        self._runs: deque[ItemRun] = deque()
        self.count = self.size = 0

    def add(self, run: ItemRun) -> None:
        """Append a run."""
        self._runs.append(run)
        self.count += len(run)
        self.size += run.size

    def take(self, count: int) -> ItemRun:
        """Remove the first items and return them as one run; there must be as many."""
        taken: list[ItemRun] = []
        while count:
            run = self._pop()
            if len(run) > count:
                run, rest = run.split(count)
                self._runs.appendleft(rest)
                self.count += len(rest)
                self.size += rest.size
            taken.append(run)
            count -= len(run)
        keys = array("I")
        for run in taken:
            keys += run.keys
        return ItemRun(array_of(run.inner for run in taken), keys)

    def drain(self) -> Sequence[msgspec.Raw]:
        """Remove all runs; return their items one by one."""
        items: list[msgspec.Raw] = []
        while self._runs:
            items += self._pop().separate()
        return items

    def _pop(self) -> ItemRun:
        run = self._runs.popleft()
        self.count -= len(run)
        self.size -= run.size
        return run
