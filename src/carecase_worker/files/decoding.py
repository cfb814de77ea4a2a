"""Incremental decoding of a file: strict about the encoding, without a byte order mark, refusing U+0000."""

import codecs

from carecase_worker.batches.faults import is_wide, without_mark
from carecase_worker.files.refusals import mark_within, marked_utf_8, not_encoded, nul, refusal, wide

_MARK_BYTES = 4
_MARK = "\ufeff"
_WORKBOOK = b"PK\x03\x04"


class TextDecoder:
    """A decoder of a file. Its methods raise BatchRefused."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)("strict")
        self._beginning: bytes | None = b""
        self._line = 1
        self._is_within_line = False

    def decode(self, piece: bytes, is_last: bool = False) -> str:
        """Decode a piece; an incomplete character is decoded with the next piece."""
        if self._beginning is not None:
            self._beginning += piece
            if len(self._beginning) < _MARK_BYTES and not is_last:
                return ""
            piece, self._beginning = self._beginning, None
            self._require_text(piece)
        try:
            text = self._decoder.decode(piece, is_last)
        except UnicodeDecodeError as error:
            # count characters, not bytes: in UTF-16, other characters contain the byte of a line feed
            before = codecs.decode(error.object[: error.start], error.encoding, "replace")
            line = self._line + before.count("\n")
            raise refusal(str(not_encoded(line, self._encoding))) from None
        if "\0" in text:
            raise refusal(str(nul(self._line + text.count("\n", 0, text.index("\0")))))
        self._require_no_mark(text)
        self._line += text.count("\n")
        self._is_within_line = not text.endswith("\n") if text else self._is_within_line
        return text

    def _require_no_mark(self, text: str) -> None:
        """Raise BatchRefused for a byte order mark at the beginning of a line; elsewhere it is a character."""
        at = text.find(_MARK)
        while at >= 0:
            begins_line = text[at - 1] == "\n" if at else not self._is_within_line
            if begins_line:
                raise refusal(str(mark_within(self._line + text.count("\n", 0, at))))
            at = text.find(_MARK, at + 1)

    def _require_text(self, beginning: bytes) -> None:
        """Raise BatchRefused for a compressed file, a workbook, or another encoding shown by a byte order mark."""
        if beginning.startswith(_WORKBOOK):
            raise refusal(
                "The body is an Excel workbook or another zip archive. Save the sheet as CSV, or send the workbook with"
                " carecase submit."
            )
        if self._encoding == "utf-8":
            if is_wide(beginning):
                raise wide()
            without_mark(beginning)
        elif beginning.startswith(codecs.BOM_UTF8):
            raise marked_utf_8(self._encoding)
