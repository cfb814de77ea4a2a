"""Parsing of texts into records: delimited (RFC 4180, by the csv module) or of fixed width."""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from operator import itemgetter
from typing import Protocol

from carecase_worker.files.refusals import FileFault, lone_return, open_quote, stray_quote, too_long

_CELL_CHARACTERS = 128 << 10
"""Maximum characters of a cell: the csv module's default, since its limit is global to the process."""
_first = itemgetter(0)
_DELIMITERS = re.compile(r"[,;\t|]")
_LONE_RETURN = re.compile(r"\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Records:
    """Rows of a file without blank ones, each with the line where it begins."""

    rows: list[Sequence[str]]
    lines: Sequence[int]


class BrokenRecord(Exception):
    """A text cannot be parsed into records; `fault` says where."""

    def __init__(self, fault: FileFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class RecordForm(Protocol):
    """A format of records."""

    def end_of(self, text: str) -> int:
        """Return the offset after the last complete record of a text; 0 if there is none."""
        ...

    def records(self, text: str, line: int) -> Records:
        """Parse a text that begins in `line` and ends with a complete record. Raises BrokenRecord."""
        ...

    def fault(self, text: str, line: int, most: int) -> FileFault:
        """Return the fault of a text that is too long for one record."""
        ...


class Delimited:
    """Records of cells between delimiters, which may be quoted."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._cell = re.compile(
            rf'(?:"(?:[^"]++|"")*+"|[^"\r\n{re.escape(delimiter)}]*+)(?:{re.escape(delimiter)}|\r?\n|\r?\Z)'
        )

    def end_of(self, text: str) -> int:
        """Return the offset after the last line feed outside quoted cells."""
        end, line_feed, quotes = len(text), text.rfind("\n"), text.count('"')
        while line_feed >= 0:
            quotes -= text.count('"', line_feed, end)
            if quotes % 2 == 0:  # before a line feed outside quoted cells, each quote is closed
                return line_feed + 1
            end, line_feed = line_feed, text.rfind("\n", 0, text.rfind('"', 0, line_feed))
        return 0

    def records(self, text: str, line: int) -> Records:
        """Parse the records of a text, with unquoted cells."""
        feeds = text.count("\n") + (not text.endswith("\n"))
        if (cut := _without_quotes(text, self._delimiter)) is not None:
            return _without_blank(cut, range(line, line + feeds))
        try:
            rows = list(csv.reader(StringIO(text, newline="\n"), delimiter=self._delimiter, strict=True))
        except csv.Error:
            raise BrokenRecord(self._fault(text, line)) from None
        is_line_by_line = len(rows) == feeds
        if '"' in text:
            self._require_good_quotes(text, rows, line, is_line_by_line)
        lines = range(line, line + feeds) if is_line_by_line else self._lines(text, line)
        return _without_blank(rows, lines)

    def fault(self, text: str, line: int, most: int) -> FileFault:
        """Return the fault of a text that is too long for one record."""
        return self._fault(text, line) if '"' in text or "\r" in text else too_long(line, most)

    def _lines(self, text: str, line: int) -> list[int]:
        """Return the line where each record begins, if some have several lines."""
        reader = csv.reader(StringIO(text, newline="\n"), delimiter=self._delimiter, strict=True)
        ends = [reader.line_num for _ in reader]
        return [line + end for end in [0, *ends[:-1]]]

    def _require_good_quotes(self, text: str, rows: Sequence[Sequence[str]], line: int, is_line_by_line: bool) -> None:
        """Raise BrokenRecord for a quote in an unquoted cell, which the csv module accepts as a character.

        A parsed cell with a quote may have been quoted, so the raw text of such rows is checked.
        """
        suspects = [place for place, row in enumerate(rows) if '"' in "".join(row)]
        if not suspects:
            return
        if not is_line_by_line:
            self._require_cells(text, line)
            return
        lines = text.split("\n")
        for place in suspects:
            self._require_cells(lines[place], line + place)

    def _require_cells(self, text: str, line: int) -> None:
        if (broken := self._broken_at(text)) < len(text):
            raise BrokenRecord(self._fault_at(text, broken, line))

    def _broken_at(self, text: str) -> int:
        """Return the offset of the first cell that violates RFC 4180; the text's length if there is none."""
        at = 0
        while at < len(text):
            found = self._cell.match(text, at)
            if found is None:
                return at
            at = found.end()
        return at

    def _fault(self, text: str, line: int) -> FileFault:
        broken = self._broken_at(text)
        if broken >= len(text):
            return too_long(line, _CELL_CHARACTERS)
        return self._fault_at(text, broken, line)

    def _fault_at(self, text: str, broken: int, line: int) -> FileFault:
        begins_in = line + text.count("\n", 0, broken)
        if text[broken] == '"':
            closed = re.compile(r'"(?:[^"]++|"")*+"').match(text, broken)
            return open_quote(begins_in) if closed is None else stray_quote(line + text.count("\n", 0, closed.end()))
        cell = re.compile(rf"[^\n{re.escape(self._delimiter)}]*").match(text, broken)
        is_return = cell is not None and _LONE_RETURN.search(cell[0]) and '"' not in cell[0].partition("\r")[0]
        return lone_return(begins_in) if is_return else stray_quote(begins_in)


class Fixed:
    """Records with fields at fixed positions of a line."""

    def __init__(self, places: Sequence[slice]) -> None:
        self._places = places

    def end_of(self, text: str) -> int:
        """Return the offset after the last line feed."""
        return text.rfind("\n") + 1

    def records(self, text: str, line: int) -> Records:
        """Parse the records of a text; a short line has empty cells at its end."""
        lines = text.removesuffix("\n").split("\n")
        rows: list[Sequence[str]] = [
            tuple(one[place] for place in self._places) if one.strip() else () for one in lines
        ]
        return _without_blank(rows, range(line, line + len(rows)))

    def fault(self, text: str, line: int, most: int) -> FileFault:
        """Return the fault of a text that is too long for one record."""
        return lone_return(line) if _LONE_RETURN.search(text) else too_long(line, most)


def recognised_delimiter(header: str) -> str:
    """Return the first possible delimiter in a header row; a comma if there is none."""
    found = _DELIMITERS.search(header)
    return found[0] if found else ","


def _without_quotes(text: str, delimiter: str) -> list[Sequence[str]] | None:
    """Parse a text without quoted cells like the csv module, in half its time; None if there may be quoted cells."""
    if '"' in text:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            return None
    lines = text.removesuffix("\n").split("\n")
    if max(map(len, lines)) > _CELL_CHARACTERS:
        return None
    return [one.split(delimiter) if one else () for one in lines]


def _without_blank(rows: Sequence[Sequence[str]], lines: Sequence[int]) -> Records:
    """Return the rows without blank ones."""
    with suppress(IndexError):  # of a line without any cell
        if all(map(str.strip, map(_first, rows))):
            return Records(list(rows), lines)
    kept = [(row, line) for row, line in zip(rows, lines, strict=True) if any(map(str.strip, row))]
    return Records([row for row, _ in kept], [line for _, line in kept])
