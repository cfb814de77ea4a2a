"""A request body, cut into its items as it comes in, without parsing them.

Items are cut off whenever enough of the body is there: a guess at where the last whole item ends is right if what lies
before it, closed with a bracket, is a JSON array. So some megabytes of a body are held at a time, whatever its size.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from carecase_worker.cases.faults import (
    BLANK,
    empty,
    no_array,
    not_json,
    too_large,
    without_lone_surrogates,
    without_mark,
)
from carecase_worker.errors import BatchRefused

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_GUESSES = 3
_TAIL_BYTES = 16 << 10
_BLANK_COMMA = re.compile(rb"\}[ \t\r\n]+,")
_WINDOW_BYTES = 256 << 10
_LONGEST_BYTES = 16 << 20
_HEAD_BYTES = 1 << 20
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},"]', re.DOTALL)
_TRAILING = re.compile(r"JSON is malformed: trailing characters \(byte (\d+)\)")
_PLACE = re.compile(r"byte (\d+)")


class Splitter(Protocol):
    """Takes a body piece by piece and gives its items, each as the bytes that were sent."""

    def feed(self, piece: bytes) -> Sequence[msgspec.Raw]:
        """The items that are whole by now and were not given before. Raises BatchRefused."""
        ...

    def finish(self) -> Sequence[msgspec.Raw]:
        """The rest of the items. Raises BatchRefused, also if the body had none at all."""
        ...


class ArraySplitter:
    """Splits a JSON array; looks for items whenever it has `window_bytes` more of it."""

    def __init__(self, window_bytes: int = _WINDOW_BYTES) -> None:
        self._window_bytes = window_bytes
        self._rest = b""
        self._offset = 0
        self._is_open = self._is_closed = False
        self._given = 0
        self._look_at = window_bytes

    def feed(self, piece: bytes) -> Sequence[msgspec.Raw]:
        """The items that are whole by now and were not given before. Raises BatchRefused."""
        self._rest += piece
        if self._is_closed:
            return self._expect_nothing()
        if not self._is_open and not self._opens():
            return ()
        if len(self._rest) < self._look_at:
            return ()
        for end in _guesses(self._rest):
            try:
                return self._give(_ARRAY.decode(b"".join((b"[", memoryview(self._rest)[:end], b"]"))), end)
            except (msgspec.DecodeError, RecursionError):
                continue
        return self._search()

    def finish(self) -> Sequence[msgspec.Raw]:
        """The rest of the items. Raises BatchRefused, also if the body had none at all."""
        if not self._is_open:
            raise no_array(self._rest, is_whole=True) if self._rest.strip(BLANK) else empty()
        if self._is_closed:
            if not self._given:
                raise empty()
            return self._expect_nothing()
        items = self._decode(b"[" + self._rest)
        if not items:
            raise not_json("it ends with a comma") if self._given else empty()
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
        """Where guessing failed: go through the tokens to the last comma between two items."""
        end, array_end = _last_comma(self._rest)
        if array_end:
            return self._close(array_end)
        if end:
            return self._give(self._decode(b"[%b]" % self._rest[:end]), end)
        if len(self._rest) > _LONGEST_BYTES:
            raise too_large("The body has an item of", _LONGEST_BYTES)
        self._look_at = 2 * len(self._rest)
        return ()

    def _close(self, end: int) -> Sequence[msgspec.Raw]:
        """Give the last items; the bracket that ends the array is before `end`."""
        items = self._decode(b"[" + self._rest[:end])
        if self._given and not items:
            raise not_json("it ends with a comma")
        self._given += len(items)
        self._is_closed = True
        self._skip(end)
        self._expect_nothing()
        return items

    def _expect_nothing(self) -> Sequence[msgspec.Raw]:
        """After the array only blanks may come."""
        if self._rest.strip(BLANK):
            raise _something_follows(self._offset + len(self._rest) - len(self._rest.lstrip(BLANK)))
        self._skip(len(self._rest))
        return ()

    def _give(self, items: Sequence[msgspec.Raw], end: int) -> Sequence[msgspec.Raw]:
        """Give items that end before the comma at `end`; they do not keep the blanks around them in memory."""
        if 2 * sum(map(len, items)) < end:
            items = [item.copy() for item in items]
        self._skip(end + 1)
        self._given += len(items)
        self._look_at = self._window_bytes
        return items

    def _skip(self, size: int) -> None:
        self._rest = self._rest[size:]
        self._offset += size

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
        except RecursionError:
            raise not_json("it is nested too deeply") from None


def _something_follows(place: int) -> BatchRefused:
    return not_json(f"something follows the array at byte {place}")


def _guesses(text: bytes) -> Iterator[int]:
    """Commas that may well stand between two items, from the last one on."""
    end = text.rfind(b"},")
    if end < 0:  # it is written with a blank before the comma, or not at all
        tail = max(0, len(text) - _TAIL_BYTES)
        yield from [tail + found.end() - 1 for found in _BLANK_COMMA.finditer(text[tail:])][: -_GUESSES - 1 : -1]
    for _ in range(_GUESSES):
        if end >= 0:
            yield end + 1
            end = text.rfind(b"},", 0, end)


def _last_comma(text: bytes) -> tuple[int, int]:
    """Where the last comma between two items is, and where the array ends; 0 for what is not there."""
    comma = depth = 0
    for token in _TOKEN.finditer(text):
        match token[0]:
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
                if depth < 0:
                    return comma, token.end()
            case b"," if depth == 0:
                comma = token.start()
            case b'"':  # a string that is not whole yet
                break
    return comma, 0
