"""Splitting of a JSON array body into its raw items while it is received.

Whenever enough of the body is buffered, the end of the last complete item is guessed. The guess is right if the text
before it, closed with a bracket, is a JSON array. If guesses fail, a scanner steps from item to item. So less than a
megabyte is buffered, whatever the size of the body, and no byte is scanned more than a few times.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from typing import Protocol

import msgspec

from carecase_worker.batches.faults import (
    BLANK,
    empty,
    no_array,
    not_json,
    refusing_deep_nesting,
    without_lone_surrogates,
    without_mark,
)
from carecase_worker.batches.item_runs import ItemRun, without_blanks
from carecase_worker.batches.oversized import Allowance, Passage
from carecase_worker.errors import BatchRefused

ITEM_BYTES = 256 << 10
"""Default size limit of an item; an item of more than twice this size is truncated."""

WINDOW_BYTES = 64 << 10
"""Size of the part that is split at once; with the smallest possible items that takes 4 ms of the interpreter."""

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
# used to find ends only, so numbers become their lengths; the parser of the array decides what is JSON
_scan = JSONDecoder(strict=False, parse_int=len, parse_float=len, parse_constant=len).scan_once  # type: ignore[attr-defined]
_GUESSES = 3
_TAIL_BYTES = 16 << 10
_BLANK_COMMA = re.compile(rb"\}[ \t\r\n]+,")
_HEAD_BYTES = 1 << 20
_LONGEST_TOKEN = 16
"""Length of the longest token; one may be truncated at the end of the text, so an error there proves nothing yet."""
_OPEN_STRING = "Unterminated string"  # reported where the string begins
_BLANK = (" ", "\t", "\r", "\n")
_TRUNCATED = "Input data was truncated"
_BLANKS = re.compile(r"[ \t\r\n]*+")
_SIGN = re.compile(r"[ \t\r\n]*+([^ \t\r\n])[ \t\r\n]*+")
_TRAILING = re.compile(r"JSON is malformed: trailing characters \(byte (\d+)\)")
_PLACE = re.compile(r"byte (\d+)")


class Splitter(Protocol):
    """An incremental splitter: bytes of a body in, raw items out."""

    @property
    def buffered_bytes(self) -> int:
        """Buffered bytes of incomplete items."""
        ...

    def feed(self, piece: bytes) -> Sequence[msgspec.Raw]:
        """Process a piece; return the items completed by it. Raises BatchRefused."""
        ...

    def finish(self) -> Sequence[msgspec.Raw]:
        """Return the rest of the items. Raises BatchRefused, also if there was no item at all."""
        ...


class ArraySplitter:
    """A splitter of a JSON array; it searches for items once per `window_bytes` received.

    An item longer than twice `item_bytes` is truncated to a prefix that is longer than `item_bytes` and not JSON.
    `in_runs`: for a receiver that cuts chunks; one that needs each item would have it parsed twice.
    """

    def __init__(self, window_bytes: int = WINDOW_BYTES, item_bytes: int = ITEM_BYTES, in_runs: bool = True) -> None:
        self._window_bytes = self._look_at = window_bytes
        self._max_buffered_bytes = 2 * item_bytes
        self._rest = b""
        self._offset = 0
        self._is_open = self._is_closed = False
        self._has_given = False
        self._tries_runs = in_runs  # until items of a window have no plain keys
        self._item_bytes = item_bytes
        self._passage: Passage | None = None
        self._allowance = Allowance()

    @property
    def buffered_bytes(self) -> int:
        """Buffered bytes of incomplete items."""
        return len(self._rest)

    def feed(self, piece: bytes) -> Sequence[msgspec.Raw]:
        """Process a piece; return the items completed by it. Raises BatchRefused."""
        self._rest += piece
        if self._is_closed:
            return self._expect_nothing()
        if not self._is_open and not self._opens():
            return ()
        if self._passage is not None and not self._passes(self._passage):
            return ()
        if len(self._rest) < self._look_at:
            return ()
        for end in _guesses(self._rest):
            try:
                items = self._items_of(b"".join((b"[", memoryview(self._rest)[:end], b"]")))
            except (msgspec.DecodeError, RecursionError):
                continue
            if items:  # none before a comma is a fault, which the scanner reports
                return self._give(items, end)
        return self._search()

    def _items_of(self, text: bytes) -> Sequence[msgspec.Raw]:
        """Return the items of an array, as a run if all have plain keys and none can be too large.

        Raises DecodeError or RecursionError.
        """
        if not self._tries_runs or len(text) > self._item_bytes:
            return _ARRAY.decode(text)
        with suppress(msgspec.DecodeError):
            return ItemRun.of(text)
        items = _ARRAY.decode(text)
        self._tries_runs = False
        return items

    def finish(self) -> Sequence[msgspec.Raw]:
        """Return the rest of the items. Raises BatchRefused, also if there was no item at all."""
        if not self._is_open:
            raise no_array(self._rest, is_whole=True) if self._rest.strip(BLANK) else empty()
        if self._passage is not None:
            raise not_json(_TRUNCATED)
        if self._is_closed:
            if not self._has_given:
                raise empty()
            return self._expect_nothing()
        items = self._decode(b"[" + self._rest)
        if not items:
            raise not_json("it ends with a comma") if self._has_given else empty()
        return items

    def _opens(self) -> bool:
        if not self._offset:
            self._skip(len(self._rest) - len(without_mark(self._rest)))
        head = self._rest.lstrip(BLANK)
        if head[:1] == b"[":
            self._skip(len(self._rest) - len(head) + 1)
            self._is_open = True
        elif len(head) > _HEAD_BYTES:
            raise no_array(self._rest, is_whole=False)
        elif not head:
            self._skip(len(self._rest))
        return self._is_open

    def _search(self) -> Sequence[msgspec.Raw]:
        """Return the items up to the last comma between two, found item by item, after guessing has failed."""
        found = _walk(self._rest)
        if found.array_end:
            return self._close(found.array_end)
        if found.is_broken:
            return self._decode(b"[" + self._rest)  # the parser says why
        if found.comma:
            return self._give(self._decode(b"[%b]" % self._rest[: found.comma]), found.comma)
        self._skip(found.begin)
        if found.is_whole:  # only its comma is missing: blanks before that do not belong to the item
            item = self._rest.rstrip(BLANK) + b" "
            self._offset += max(0, len(self._rest) - len(item))
            self._rest = item
        if len(self._rest) > self._max_buffered_bytes:
            return self._let_pass()
        self._look_at = max(self._window_bytes, min(2 * len(self._rest), self._max_buffered_bytes + 1))
        return ()

    def _let_pass(self) -> Sequence[msgspec.Raw]:
        """Return the prefix of an item that is too large, and the items after it."""
        beginning = msgspec.Raw(self._rest[: self._max_buffered_bytes])
        self._passage = Passage(self._rest[:1])
        self._skip(1)
        self._has_given = True
        self._look_at = self._window_bytes
        return [beginning, *self.feed(b"")]

    def _passes(self, passage: Passage) -> bool:
        """Skip the received part of an item that is too large; return whether the next item may follow."""
        size, is_next = passage.feed(self._rest)
        self._allowance.spend(size)
        sign = self._rest[size : size + 1]
        self._skip(size)
        if not is_next:
            return False
        if sign not in (b",", b"]"):
            raise not_json(f"JSON is malformed: expected ',' or ']' (byte {self._offset})")
        self._skip(1)
        self._passage = None
        self._is_closed = sign == b"]"
        if self._is_closed:
            self._expect_nothing()
        return not self._is_closed

    def _close(self, end: int) -> Sequence[msgspec.Raw]:
        """Return the last items; the bracket that ends the array is before `end`."""
        items = self._decode(b"[" + self._rest[:end])
        if self._has_given and not items:
            raise not_json("it ends with a comma")
        self._has_given |= bool(items)
        self._is_closed = True
        self._skip(end)
        self._expect_nothing()
        return items

    def _expect_nothing(self) -> Sequence[msgspec.Raw]:
        """Raise BatchRefused unless only blanks come after the array."""
        if self._rest.strip(BLANK):
            raise _something_follows(self._offset + len(self._rest) - len(self._rest.lstrip(BLANK)))
        self._skip(len(self._rest))
        return ()

    def _give(self, items: Sequence[msgspec.Raw], end: int) -> Sequence[msgspec.Raw]:
        """Return items that end before the comma at `end`."""
        if not isinstance(items, ItemRun):
            items = without_blanks(items, end)
        self._skip(end + 1)
        self._has_given |= bool(items)
        self._look_at = self._window_bytes
        return items

    def _skip(self, size: int) -> None:
        self._rest = self._rest[size:]
        self._offset += size

    @refusing_deep_nesting()
    def _decode(self, text: bytes) -> list[msgspec.Raw]:
        try:
            return _ARRAY.decode(text)
        except msgspec.DecodeError as error:
            repaired = without_lone_surrogates(text)
            if repaired is not None:
                return self._decode(repaired)
            # the parser counts from the bracket before the rest; what follows the array, from behind its first byte
            if trailing := _TRAILING.fullmatch(str(error)):
                raise _something_follows(self._offset + int(trailing[1]) - 2) from None
            raise not_json(_PLACE.sub(lambda at: f"byte {self._offset + int(at[1]) - 1}", str(error))) from None


def _something_follows(place: int) -> BatchRefused:
    return not_json(f"something follows the array at byte {place}")


def _guesses(text: bytes) -> Iterator[int]:
    """Yield the positions of commas that probably separate two items, the last one first."""
    end = text.rfind(b"},")
    if end < 0:  # there is a blank before each comma, or no comma
        tail = max(0, len(text) - _TAIL_BYTES)
        yield from [tail + found.end() - 1 for found in _BLANK_COMMA.finditer(text[tail:])][: -_GUESSES - 1 : -1]
        if (last := text.rfind(b",")) >= 0:
            yield last
    for _ in range(_GUESSES):
        if end >= 0:
            yield end + 1
            end = text.rfind(b"},", 0, end)


@dataclass(frozen=True, slots=True)
class _Walk:
    """The positions that were found: the last comma between two items, and the end of the array; 0 if not found.

    `begin` is where the item after that comma begins. `is_whole`: only its comma may be missing. `is_broken`: no
    further text can make it a valid item.
    """

    comma: int
    begin: int
    array_end: int = 0
    is_whole: bool = False
    is_broken: bool = False


@refusing_deep_nesting()
def _walk(rest: bytes) -> _Walk:
    """Scan the items of a text one by one. Raises BatchRefused if one is nested too deeply."""
    text = rest.decode("latin-1")  # a character a byte, whatever the bytes are
    found = _BLANKS.match(text)
    comma, at, sure = 0, found.end() if found else 0, len(text) - _LONGEST_TOKEN
    while text[at : at + 1] != "]":
        try:
            _, end = _scan(text, at)
        except JSONDecodeError as error:
            return _Walk(comma, at, is_broken=error.pos < sure and not error.msg.startswith(_OPEN_STRING))
        except StopIteration as stop:
            return _Walk(comma, at, is_broken=stop.value < sure)
        sign = _SIGN.match(text, end)
        if sign is None:
            return _Walk(comma, at, is_whole=text[-1:] in _BLANK)
        if sign[1] == "]":
            return _Walk(comma, at, sign.end(1))
        if sign[1] != ",":
            return _Walk(comma, at, is_broken=sign.start(1) < sure)
        comma, at = sign.start(1), sign.end()
    return _Walk(comma, at, at + 1)
