"""Incremental decoding of a file: strict about the encoding, without a byte order mark, refusing U+0000."""

import codecs

from carecase_worker.batches.faults import without_mark
from carecase_worker.files.refusals import not_encoded, nul, refusal

_MARK_BYTES = 4
_WORKBOOK = b"PK\x03\x04"


class TextDecoder:
    """A decoder of a file. Its methods raise BatchRefused."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)("strict")
        self._beginning: bytes | None = b""
        self._line = 1

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
            line = self._line + error.object[: error.start].count(b"\n")
            raise refusal(str(not_encoded(line, self._encoding))) from None
        if "\0" in text:
            raise refusal(str(nul(self._line + text.count("\n", 0, text.index("\0")))))
        self._line += text.count("\n")
        return text

    def _require_text(self, beginning: bytes) -> None:
        """Raise BatchRefused for a compressed file, a workbook, or another encoding shown by a byte order mark."""
        if beginning.startswith(_WORKBOOK):
            raise refusal(
                "The body is an Excel workbook or another zip archive. Save the sheet as CSV, or send the workbook with"
                " carecase submit."
            )
        if self._encoding == "utf-8":
            without_mark(beginning)
