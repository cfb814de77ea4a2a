"""A request body, cut into its items without parsing them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from mmap import mmap

import msgspec

from carecase_worker.errors import BatchFault, BatchRefused

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_LINE = msgspec.json.Decoder(msgspec.Raw)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_NUL_ESCAPE = rb"\u0000"

Buffer = bytes | bytearray | mmap
"""What a body lies in."""


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a batch, each as the bytes that were sent."""

    raw: Sequence[msgspec.Raw]

    def __len__(self) -> int:
        return len(self.raw)

    def slices(self, first: int, count: int) -> Iterator[memoryview]:
        """The bytes of `count` items from number `first` on."""
        return (memoryview(item) for item in self.raw[first : first + count])


def split_array(body: Buffer) -> Items:
    """Cut a JSON array into its items. Raises BatchRefused if it is no JSON array, or an empty one."""
    try:
        return _not_empty(_ARRAY.decode(body))
    except msgspec.ValidationError:
        raise BatchRefused(
            BatchFault.NOT_AN_ARRAY, "The body is JSON, but not an array. Send an array of CareCase objects."
        ) from None
    except msgspec.DecodeError as error:
        repaired = _without_lone_surrogates(body)
        if repaired is not None:
            return split_array(repaired)
        raise _not_json(str(error)) from None
    except RecursionError:
        raise _not_json("it is nested too deeply") from None


def split_lines(body: Buffer) -> Items:
    """Cut newline-delimited JSON into its items, one a line; blank lines do not count. Raises BatchRefused."""
    view = memoryview(body)
    items = []
    start = 0
    for number in count(1):
        end = body.find(b"\n", start)
        line = view[start:] if end < 0 else view[start:end]
        if bytes(line[:64]).strip() or bytes(line).strip():
            items.append(_line(line, number))
        if end < 0:
            return _not_empty(items)
        start = end + 1
    raise AssertionError("a body ends")


def _line(line: memoryview, number: int) -> msgspec.Raw:
    try:
        return _LINE.decode(line)
    except msgspec.DecodeError as error:
        repaired = _without_lone_surrogates(line)
        if repaired is None:
            raise _not_json(f"line {number}: {error}") from None
        return _line(memoryview(repaired), number)
    except RecursionError:
        raise _not_json(f"line {number} is nested too deeply") from None


def _not_empty(raw: Sequence[msgspec.Raw]) -> Items:
    if not raw:
        raise BatchRefused(BatchFault.EMPTY, "The batch is empty. Send at least one CareCase.")
    return Items(raw)


def _not_json(detail: str) -> BatchRefused:
    return BatchRefused(
        BatchFault.NOT_JSON, f"The body is not JSON ({detail}). Send an array of CareCase objects in UTF-8."
    )


def _without_lone_surrogates(body: Buffer | memoryview) -> bytes | None:
    r"""The body with `\u0000` for each lone surrogate escape, or None if it has none.

    The parser takes a lone surrogate for an error of the whole text, while the contract makes it the fault of
    one item. U+0000 breaks the same rule and is seen with the item's other faults.
    """
    found = False

    def repaired(escape: re.Match[bytes]) -> bytes:
        nonlocal found
        if escape["lone"] is None:
            return escape[0]
        found = True
        return _NUL_ESCAPE

    text = _ESCAPE.sub(repaired, body)
    return text if found else None
