"""A request body of newline-delimited JSON, cut into its items as it comes in."""

from codecs import BOM_UTF8
from collections.abc import Sequence
from itertools import repeat

import msgspec

from carecase_worker.cases.faults import (
    BLANK,
    LINES,
    array_as_lines,
    empty,
    not_json,
    require_case,
    too_large,
    without_lone_surrogates,
    without_mark,
)
from carecase_worker.errors import BatchRefused

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_LINE = msgspec.json.Decoder(msgspec.Raw)
_LONGEST_BYTES = 16 << 20


class LineSplitter:
    """Splits newline-delimited JSON, one item a line; blank lines do not count."""

    def __init__(self) -> None:
        self._rest = b""
        self._line = 1
        self._given = 0
        self._lone = b""

    def feed(self, piece: bytes) -> Sequence[msgspec.Raw]:
        """The items that are whole by now and were not given before. Raises BatchRefused."""
        end = piece.rfind(b"\n")
        if end < 0:
            self._rest += piece
            if len(self._rest) > _LONGEST_BYTES:
                raise (
                    array_as_lines()
                    if self._begins_an_array(self._rest)
                    else too_large(f"Line {self._line} has", _LONGEST_BYTES)
                )
            return ()
        text, self._rest = self._rest + piece[:end], piece[end + 1 :]
        return self._split(text)

    def finish(self) -> Sequence[msgspec.Raw]:
        """The rest of the items. Raises BatchRefused, also if the body had none at all."""
        items = self._split(self._rest)
        if not self._given:
            raise empty()
        if self._given == 1:
            require_case(self._lone)
        return items

    def _split(self, text: bytes) -> Sequence[msgspec.Raw]:
        if self._line == 1:
            text = without_mark(text)
        lines = text.split(b"\n")
        items = _lines_at_once(lines)
        if items is None:
            try:
                items = [_line(line, number) for number, line in enumerate(lines, self._line) if _stripped(line)]
            except BatchRefused:
                if self._begins_an_array(text):
                    raise array_as_lines() from None
                raise
        self._line += len(lines)
        self._given += len(items)
        if items:
            self._lone = bytes(items[0]) if self._given == 1 else b""
        return items

    def _begins_an_array(self, text: bytes) -> bool:
        return not self._given and _stripped(text)[:1] == b"["


def _lines_at_once(lines: Sequence[bytes]) -> Sequence[msgspec.Raw] | None:
    """The items of lines that each hold exactly one, or None if that does not show in one go."""
    held = [line for line in map(bytes.strip, lines, repeat(BLANK)) if line]
    try:
        items = _ARRAY.decode(b"[%b]" % b",".join(held))
    except (msgspec.DecodeError, RecursionError):
        return None
    # a comma may join what two lines have halves of, or stand in a line: then an item is not as long as its line
    return items if list(map(len, items)) == list(map(len, held)) else None


def _line(line: bytes, number: int) -> msgspec.Raw:
    try:
        return _LINE.decode(_stripped(line))
    except msgspec.DecodeError as error:
        repaired = without_lone_surrogates(line)
        if repaired is None:
            raise not_json(f"line {number}: {error}", LINES) from None
        return _line(repaired, number)
    except RecursionError:
        raise not_json(f"line {number} is nested too deeply", LINES) from None


def _stripped(line: bytes) -> bytes:
    """A line without blanks around it, and without the byte order mark of a file that was appended to another."""
    return line.strip(BLANK).removeprefix(BOM_UTF8).lstrip(BLANK)
