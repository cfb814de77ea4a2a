"""Splitting of a newline-delimited JSON body into its items while it is received."""

import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from itertools import repeat

import msgspec

from carecase_worker.batches.faults import (
    BLANK,
    LINES,
    array_as_lines,
    empty,
    not_json,
    require_case,
    without_lone_surrogates,
    without_mark,
)
from carecase_worker.batches.oversized import Allowance
from carecase_worker.batches.splitting import ITEM_BYTES

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_LINE = msgspec.json.Decoder(msgspec.Raw)
_FILLED = re.compile(rb"[^ \t\r\n][^\n]*+")
_MARKED_LINE = b"\n" + BOM_UTF8
_SHORT_BYTES = 64
"""Average line length below which many lines may be blank; blank lines are then skipped before any object is made."""


class LineSplitter:
    """A splitter of newline-delimited JSON, one item a line; blank lines do not count.

    A line longer than twice `item_bytes` is truncated to a prefix that is longer than `item_bytes` and not JSON.
    """

    def __init__(self, item_bytes: int = ITEM_BYTES) -> None:
        self._max_buffered_bytes = 2 * item_bytes
        self._rest = b""
        self._passing = False
        self._line = 1
        self._given = 0
        self._lone = b""
        self._allowance = Allowance()

    @property
    def buffered_bytes(self) -> int:
        """Buffered bytes of incomplete items, and of a first item that may be the only one."""
        return len(self._rest) + len(self._lone)

    def feed(self, piece: bytes) -> Sequence[msgspec.Raw]:
        """Process a piece; return the items completed by it. Raises BatchRefused."""
        if self._passing:
            piece = self._pass(piece)
        end = piece.rfind(b"\n")
        if end < 0:
            self._rest += piece
            return self._hold()
        text, self._rest = self._rest + piece[:end], piece[end + 1 :]
        return [*self._split(text), *self._hold()]

    def finish(self) -> Sequence[msgspec.Raw]:
        """Return the rest of the items. Raises BatchRefused, also if the body had none at all."""
        items = self._split(self._rest)
        if not self._given:
            raise empty()
        if self._given == 1:
            require_case(self._lone)
        return items

    def _hold(self) -> Sequence[msgspec.Raw]:
        """Limit the buffer of a line: return the prefix of one that is too large."""
        if len(self._rest) <= self._max_buffered_bytes:
            return ()
        self._rest = _stripped(self._rest)  # blanks are no item, however many they are
        if len(self._rest) <= self._max_buffered_bytes:
            return ()
        if self._begins_an_array(self._rest):
            raise array_as_lines()
        item = msgspec.Raw(self._rest[: self._max_buffered_bytes])
        self._allowance.spend(len(self._rest))
        self._rest, self._passing = b"", True
        self._given += 1
        return [item]

    def _pass(self, piece: bytes) -> bytes:
        """Return the part of a piece after a line that is too large."""
        end = piece.find(b"\n")
        self._allowance.spend(len(piece) if end < 0 else end)
        if end < 0:
            return b""
        self._passing = False
        self._line += 1
        return piece[end + 1 :]

    def _split(self, text: bytes) -> Sequence[msgspec.Raw]:
        text = without_mark(text) if self._line == 1 else text.removeprefix(BOM_UTF8)
        if BOM_UTF8[:1] in text and _MARKED_LINE in text:  # one byte is found much faster than four
            text = text.replace(_MARKED_LINE, b"\n")
        lines, feeds = _lines_of(text)
        items = _at_once(lines)
        if items is None and (repaired := without_lone_surrogates(text)) is not None:
            text = repaired
            items = _at_once(_lines_of(text)[0])
        if items is None:
            items = self._one_by_one(text)
        self._line += feeds + 1
        self._given += len(items)
        if items:
            self._lone = bytes(items[0]) if self._given == 1 else b""
        return items

    def _one_by_one(self, text: bytes) -> list[msgspec.Raw]:
        """Return the items of lines, one by one, if some line is or seems invalid. Raises BatchRefused."""
        items = []
        for found in _FILLED.finditer(text):
            item = _item_of(found[0].rstrip(BLANK))
            if isinstance(item, str):
                if self._begins_an_array(text):
                    raise array_as_lines()
                number = self._line + text.count(b"\n", 0, found.start())
                raise not_json(f"line {number}{item}", LINES)
            items.append(item)
        return items

    def _begins_an_array(self, text: bytes) -> bool:
        return not self._given and _stripped(text)[:1] == b"["


def _lines_of(text: bytes) -> tuple[list[bytes], int]:
    """Return the lines of a text, without blank ones if there may be many, and the number of its line feeds."""
    most = len(text) // _SHORT_BYTES
    lines = text.split(b"\n", most)  # many times faster than counting them first
    if len(lines) <= most:
        return lines, len(lines) - 1
    return _FILLED.findall(text), text.count(b"\n")


def _at_once(lines: Sequence[bytes]) -> Sequence[msgspec.Raw] | None:
    """Return the items of lines with exactly one item each; None if parsing them together does not prove that."""
    stripped = [line for line in map(bytes.strip, lines, repeat(BLANK)) if line]
    try:
        items = _ARRAY.decode(b"[%b]" % b",".join(stripped))
    except (msgspec.DecodeError, RecursionError):
        return None
    # a comma may join the halves of an item on two lines, or be within a line: then lengths of items and lines differ
    return items if list(map(len, items)) == list(map(len, stripped)) else None


def _item_of(line: bytes) -> msgspec.Raw | str:
    """Return the item of a line, or its fault as text to put after the line's number."""
    try:
        return _LINE.decode(line)
    except msgspec.DecodeError as error:
        return f": {error}"
    except RecursionError:
        return " is nested too deeply"


def _stripped(text: bytes) -> bytes:
    """Return a text without blanks around it, and without a byte order mark left in it by concatenated files."""
    return text.strip(BLANK).removeprefix(BOM_UTF8).lstrip(BLANK)
