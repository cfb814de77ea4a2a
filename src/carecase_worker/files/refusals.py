"""Faults of files: line, fault and advice. No cell is ever quoted."""

from dataclasses import dataclass

from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.plural import counted


@dataclass(frozen=True, slots=True)
class FileFault:
    """A fault because of which a file is refused: a line, from 1, and a text to put after its number."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"Line {self.line} {self.text}"


def refuse(fault: FileFault) -> None:
    """Raise BatchRefused for a fault."""
    raise refusal(str(fault))


def refusal(text: str) -> BatchRefused:
    """Return the refusal of a file."""
    return BatchRefused(BatchFault.BAD_FILE, text)


def ragged(line: int, cells: int, columns: int) -> FileFault:
    """Return the fault of a row with another number of cells than there are columns."""
    return FileFault(
        line,
        f"has {counted(cells, 'cell')}, and there {'is' if columns == 1 else 'are'} {counted(columns, 'column')}."
        " Quote cells that contain the delimiter. If it is a total or a note, remove it, or set skipped_last_lines"
        " in the mapping.",
    )


def repeated_header(line: int) -> FileFault:
    """Return the fault of a repeated header row."""
    return FileFault(line, "repeats the header row: files were concatenated. Remove it.")


def another_header(line: int) -> FileFault:
    """Return the fault of a header row with other columns, or in another order."""
    return FileFault(line, "is a header row with other columns: files were concatenated. Send each of them by itself.")


def mark_within(line: int) -> FileFault:
    """Return the fault of a byte order mark at the beginning of a line that is not the first."""
    return FileFault(line, "begins with a byte order mark: files were concatenated. Send each of them by itself.")


def total(line: int) -> FileFault:
    """Return the fault of a last row that is not a case."""
    return FileFault(
        line,
        "is the last one, has no case_Key and looks like a total. Remove it, or set skipped_last_lines in the mapping.",
    )


def no_cell(line: int, column: int) -> FileFault:
    """Return the fault of a value that no cell of a text file could have."""
    return FileFault(
        line, f"has a list, a structure or bytes in column {column}. Write it as text, or leave that column out."
    )


def error_cell(line: int, column: int) -> FileFault:
    """Return the fault of a workbook's cell with an error, or with a formula that no program has calculated."""
    return FileFault(
        line,
        f"has an error, such as #N/A, or a formula without a result in column {column}. Correct it in the workbook and"
        " save it there; or empty the cell, or put the error's text into null_tokens in the mapping, if it means null.",
    )


def nul(line: int) -> FileFault:
    """Return the fault of a line with U+0000."""
    return FileFault(
        line,
        "contains U+0000. The file is damaged, or is UTF-16: save it as UTF-8, or name the encoding in the mapping.",
    )


def stray_quote(line: int) -> FileFault:
    """Return the fault of a misplaced quote."""
    return FileFault(
        line,
        'has a quote (") inside a cell that is not quoted, or text after the closing quote of one. Put the whole cell'
        " into quotes, and write each quote in it twice.",
    )


def open_quote(line: int) -> FileFault:
    """Return the fault of an unterminated quoted cell."""
    return FileFault(line, 'begins a quoted cell that never ends. Close the quote, or write a quote in a cell as "".')


def too_long(line: int, most: int) -> FileFault:
    """Return the fault of a row that is too large."""
    return FileFault(
        line, f"begins a row of more than {most} characters. Remove data that is not a field; maybe a quote is missing."
    )


def lone_return(line: int) -> FileFault:
    """Return the fault of a line that ends with a carriage return alone."""
    return FileFault(
        line, "ends with a carriage return alone, or contains one outside quotes. End lines with LF or CRLF."
    )


def not_encoded(line: int, encoding: str) -> FileFault:
    """Return the fault of bytes that are not of the file's encoding."""
    return FileFault(
        line,
        f"is not {encoding}. Save the file as UTF-8, or name its encoding in the mapping, as"
        ' encoding = "windows-1252".',
    )


def marked_utf_8(encoding: str) -> BatchRefused:
    """Return the refusal of a file that begins with UTF-8's byte order mark, by a mapping of another encoding."""
    return refusal(
        f"The file is UTF-8, as its byte order mark says, and not {encoding}. Save it as {encoding}, or send it as"
        ' Content-Type: text/csv; charset=utf-8, or set encoding = "utf-8" in the mapping.'
    )


def wide() -> BatchRefused:
    """Return the refusal of a file in UTF-16 or UTF-32 that was sent as UTF-8."""
    return refusal(
        "The file is UTF-16 or UTF-32, not UTF-8. Save it as UTF-8, or send UTF-16 as Content-Type: text/csv;"
        ' charset=utf-16, or set encoding = "utf-16" in the mapping.'
    )
