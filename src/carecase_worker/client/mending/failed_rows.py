"""Failed rows with columns for the reason; a file with these columns can be sent, since they are ignored."""

import csv
from collections.abc import Sequence
from io import StringIO

from carecase_worker.client.documents import ItemResult
from carecase_worker.files.acknowledgement import NOTES, notes_of, plain
from carecase_worker.files.mapping import FileMapping
from carecase_worker.files.records import recognised_delimiter


class NotedRows:
    """A writer of rows of a file with a header row; reason columns of an earlier attempt are replaced."""

    def __init__(self, mapping: FileMapping, is_tabbed: bool) -> None:
        self._skipped_lines = mapping.skipped_lines
        self._delimiter = "\t" if is_tabbed else mapping.delimiter or ""
        self._ending = "\n"
        self._kept: list[int] = []

    def head(self, lines: Sequence[str]) -> str:
        """Return the lines before the first row, with columns for notes in the header row."""
        skipped, rest = lines[: self._skipped_lines], "".join(lines[self._skipped_lines :]).strip("\r\n ")
        self._ending = "\r\n" if "".join(lines).endswith("\r\n") else "\n"
        self._delimiter = self._delimiter or recognised_delimiter(rest)
        cells = self._cells(rest)
        self._kept = [place for place, cell in enumerate(cells) if cell.strip().lower() not in NOTES]
        return "".join(skipped) + self._text([*(cells[place] for place in self._kept), *NOTES])

    def row(self, text: str, line: int, result: ItemResult) -> str:
        """Return a row with its notes."""
        cells = self._cells(text)
        notes = [value for _, value in notes_of(result.index, line, result.status, plain(result.body))]
        return self._text([*(cells[place] for place in self._kept), *notes])

    def _cells(self, text: str) -> list[str]:
        return next(csv.reader(StringIO(text, newline="\n"), delimiter=self._delimiter, strict=True))

    def _text(self, cells: Sequence[object]) -> str:
        text = StringIO(newline="")
        csv.writer(text, delimiter=self._delimiter, lineterminator=self._ending).writerow(cells)
        return text.getvalue()
