"""Splitting of a file of rows into items while it is received; buffers at most about a megabyte."""

from collections.abc import Sequence
from sys import getsizeof

import msgspec

from carecase_worker.batches.faults import empty
from carecase_worker.batches.splitting import ITEM_BYTES, WINDOW_BYTES
from carecase_worker.files.decoding import TextDecoder
from carecase_worker.files.mapping import FileMapping
from carecase_worker.files.records import BrokenRecord, Delimited, Fixed, RecordForm, recognised_delimiter
from carecase_worker.files.refusals import FileFault, refusal, refuse
from carecase_worker.files.table import Report, Table


class RowSplitter:
    """A splitter of a file, one item per row; blank lines do not count.

    A row of more than twice `item_bytes` characters is refused: probably a quote is missing.
    """

    def __init__(self, mapping: FileMapping, item_bytes: int = ITEM_BYTES, report: Report = refuse) -> None:
        self._mapping = mapping
        self._most = 2 * item_bytes
        self._decoder = TextDecoder(mapping.encoding)
        self._table = Table(mapping, self._note_fault)
        self._form: RecordForm | None = _form_of(mapping)
        self._report = report
        self._is_faulty = False
        self._rest = ""
        self._line = 1
        self._to_skip = mapping.skipped_lines
        self._look_at = 0
        self._given = 0

    @property
    def buffered_bytes(self) -> int:
        """Buffered bytes of incomplete rows, and of last rows that may not be cases."""
        return getsizeof(self._rest) - getsizeof("") + self._table.buffered_bytes

    def feed(self, piece: bytes) -> Sequence[msgspec.Raw]:
        """Process a piece; return the items completed by it. Raises BatchRefused."""
        self._rest += self._decoder.decode(piece)
        if len(self._rest) < self._look_at:
            return ()
        if not self._opens(is_whole=False):
            return self._hold()
        form = self._form_now()
        end = form.end_of(self._rest)
        if not end:
            return self._hold()
        items = self._take(form, end)
        self._look_at = 0
        if len(self._rest) > self._most:
            return [*items, *self._hold()]
        return items

    def finish(self) -> Sequence[msgspec.Raw]:
        """Return the rest of the items. Raises BatchRefused, also if there was no item at all."""
        self._rest += self._decoder.decode(b"", is_last=True)
        items: Sequence[msgspec.Raw] = ()
        if self._opens(is_whole=True) and self._rest:
            items = self._take(self._form_now(), len(self._rest))
        if not self._given and not self._is_faulty:
            raise empty()
        self._table.finish()
        return items

    def _hold(self) -> Sequence[msgspec.Raw]:
        """Limit the buffer of a row: raise BatchRefused if it is too large, else wait for more of it."""
        if len(self._rest) > self._most:
            raise refusal(str((self._form or Delimited(",")).fault(self._rest, self._line, self._most)))
        self._look_at = min(len(self._rest) + max(len(self._rest), WINDOW_BYTES // 2), self._most + 1)
        return ()

    def _opens(self, is_whole: bool) -> bool:
        """Skip the lines before the header row and read that; return whether it was complete."""
        while self._to_skip:
            end = self._rest.find("\n") + 1
            if not end and not is_whole:
                return False
            self._skip(end or len(self._rest))
            self._to_skip -= 1
        while not self._table.is_open:
            self._skip(len(self._rest) - len(self._rest.lstrip(" \r\n")))
            end = _end_of_first(self._rest) or (len(self._rest) if is_whole else 0)
            if not end:
                return False
            self._take_header(self._rest[:end])
            self._skip(end)
        return True

    def _take_header(self, text: str) -> None:
        """Read the header row of a text, unless the text is blank. Raises BatchRefused."""
        if text.startswith(("[", "{")):
            raise refusal("The body is JSON, not rows. Send it as Content-Type: application/json, or as NDJSON.")
        if self._form is None and text.strip():
            self._form = Delimited(self._mapping.delimiter or recognised_delimiter(text))
        try:
            records = self._form_now().records(text, self._line)
        except BrokenRecord as broken:
            raise refusal(str(broken.fault)) from None
        if records.rows:
            self._table.take_header(records.rows[0], records.lines[0])

    def _take(self, form: RecordForm, end: int) -> Sequence[msgspec.Raw]:
        text, line = self._rest[:end], self._line
        self._skip(end)
        try:
            items = self._table.items(form.records(text, line))
        except BrokenRecord as broken:
            self._note_fault(broken.fault)
            return ()
        self._given += len(items)
        return items

    def _note_fault(self, fault: FileFault) -> None:
        """Report a fault, after which a file without rows does not count as empty."""
        self._is_faulty = True
        self._report(fault)

    def _skip(self, end: int) -> None:
        self._line += self._rest.count("\n", 0, end)
        self._rest = self._rest[end:]

    def _form_now(self) -> RecordForm:
        return self._form or Delimited(",")


def _form_of(mapping: FileMapping) -> RecordForm | None:
    """Return the format of a file's records; None if it must be detected in the header row."""
    if mapping.places:
        return Fixed(list(mapping.places.values()))
    return Delimited(mapping.delimiter) if mapping.delimiter else None


def _end_of_first(text: str) -> int:
    """Return the offset after the first record of a delimited text; 0 if it is incomplete."""
    begin, end, quotes = 0, text.find("\n") + 1, 0
    while end:
        quotes += text.count('"', begin, end)
        if quotes % 2 == 0:
            return end
        begin, end = end, text.find("\n", end) + 1
    return 0
