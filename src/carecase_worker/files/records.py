"""Texts of files, cut into records: delimited (RFC 4180, read by the standard library's csv), or of fixed width."""

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
"""The most characters of a cell, which is the csv module's own default: its limit is one of the whole process."""
_first = itemgetter(0)
_DELIMITERS = re.compile(r"[,;\t|]")
_LONE_RETURN = re.compile(r"\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Records:
    """Some rows of a file, blank ones left out, with the line that each begins in."""

    rows: list[Sequence[str]]
    lines: Sequence[int]


class BrokenRecord(Exception):
    """A text cannot be cut into records; `fault` says where."""

    def __init__(self, fault: FileFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class RecordForm(Protocol):
    """A form of records in a text."""

    def end_of(self, text: str) -> int:
        """Return the place behind the last whole record of a text; 0 if there is none."""
        ...

    def records(self, text: str, line: int) -> Records:
        """Return the records of a text that begins in a line and ends with a whole record. Raises BrokenRecord."""
        ...

    def fault(self, text: str, line: int, most: int) -> FileFault:
        """Return the fault of a text that is more than one record may be."""
        ...


class Delimited:
    """Records of cells between delimiters, which may be quoted."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._cell = re.compile(
            rf'(?:"(?:[^"]++|"")*+"|[^"\r\n{re.escape(delimiter)}]*+)(?:{re.escape(delimiter)}|\r?\n|\r?\Z)'
        )

    def end_of(self, text: str) -> int:
        """Return the place behind the last line feed that is not in a quoted cell."""
        if text.count('"') % 2 == 0:
            return text.rfind("\n") + 1
        return text.rfind("\n", 0, text.rfind('"')) + 1  # before an odd one, quotes are even

    def records(self, text: str, line: int) -> Records:
        """Return the records of a text; each cell as it was before it was quoted."""
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
        """Return the fault of a text that is more than one record may be."""
        return self._fault(text, line) if '"' in text or "\r" in text else too_long(line, most)

    def _lines(self, text: str, line: int) -> list[int]:
        """Return the line that each record of a text begins in, where some have several lines."""
        reader = csv.reader(StringIO(text, newline="\n"), delimiter=self._delimiter, strict=True)
        ends = [reader.line_num for _ in reader]
        return [line + end for end in [0, *ends[:-1]]]

    def _require_good_quotes(self, text: str, rows: Sequence[Sequence[str]], line: int, is_line_by_line: bool) -> None:
        """Raise BrokenRecord if a quote is in a cell that is not quoted: the csv module takes it for a letter.

        A cell that has a quote may have been quoted, so the texts of such rows are looked at.
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
        """Return the place of the first cell that is not as RFC 4180 has it; the text's length if all are."""
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
    """Records of fields at fixed places of a line."""

    def __init__(self, places: Sequence[slice]) -> None:
        self._places = places

    def end_of(self, text: str) -> int:
        """Return the place behind the last line feed."""
        return text.rfind("\n") + 1

    def records(self, text: str, line: int) -> Records:
        """Return the records of a text; a line that ends early has empty cells there."""
        lines = text.removesuffix("\n").split("\n")
        rows: list[Sequence[str]] = [
            tuple(one[place] for place in self._places) if one.strip() else () for one in lines
        ]
        return _without_blank(rows, range(line, line + len(rows)))

    def fault(self, text: str, line: int, most: int) -> FileFault:
        """Return the fault of a text that is more than one record may be."""
        return lone_return(line) if _LONE_RETURN.search(text) else too_long(line, most)


def recognised_delimiter(header: str) -> str:
    """Return the first sign of a header row that may be a delimiter; a comma if there is none."""
    found = _DELIMITERS.search(header)
    return found[0] if found else ","


def _without_quotes(text: str, delimiter: str) -> list[Sequence[str]] | None:
    """Return the rows of a text in which no cell is quoted, as the csv module would, in half its time; else None."""
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
    """Return rows without those in which no cell has anything."""
    with suppress(IndexError):  # of a line without any cell
        if all(map(str.strip, map(_first, rows))):
            return Records(list(rows), lines)
    kept = [(row, line) for row, line in zip(rows, lines, strict=True) if any(map(str.strip, row))]
    return Records([row for row, _ in kept], [line for _, line in kept])
