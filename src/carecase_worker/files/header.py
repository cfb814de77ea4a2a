"""Matching of a file's header row with its mapping."""

from collections.abc import Sequence
from dataclasses import dataclass

from carecase_worker.cases.care_case import FIELD
from carecase_worker.errors import BatchRefused
from carecase_worker.files.mapping import IGNORED, FileMapping
from carecase_worker.files.refusals import refusal
from carecase_worker.settings.places import closest

MOST_COLUMNS = 1000
_LONGEST_NAME = 100
_DELIMITER_LINE = "sep="
"""The beginning of a line that spreadsheet programs write before the header row, as `sep=;`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A mapped column: its index in a row, and its field."""

    place: int
    field: str


def columns_of(mapping: FileMapping, header: Sequence[str], line: int) -> list[Column]:
    """Return the mapped columns of a header row. Raises BatchRefused, whose text quotes no name from the file."""
    if len(header) > MOST_COLUMNS:
        raise refusal(f"Line {line} has more than {MOST_COLUMNS} columns. Remove those that are not fields.")
    fields = [mapping.field_of(name) for name in header]
    columns = [Column(place, name) for place, name in enumerate(fields) if name]
    if not columns:
        raise _no_header(mapping, header, line)
    if not mapping.ignores_others and None in fields:
        raise _unknown(mapping, header, fields.index(None), line)
    names = [column.field for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise refusal(f"Line {line}, the header row, has two columns for {name}. Remove one of them.")
    _require_all(mapping, names, line)
    return columns


def _require_all(mapping: FileMapping, names: Sequence[str], line: int) -> None:
    """Raise BatchRefused if a column is missing, since each case would lose that field or be invalid."""
    if mapping.by_header is not None:
        absent = [name for name in mapping.by_header.values() if name != IGNORED and name not in names]
        if absent:
            raise refusal(
                f"Line {line}, the header row, has no column for {', '.join(absent)}, which the mapping names. Send a"
                " file with that column, or remove it from the mapping."
            )
    if absent := mapping.missing(names):
        raise refusal(
            f"Line {line}, the header row, has no {', '.join(absent)}, which every case needs. Add the column, or use a"
            " mapping that has it in constants."
        )


def _no_header(mapping: FileMapping, header: Sequence[str], line: int) -> BatchRefused:
    if header[0].lower().startswith(_DELIMITER_LINE):
        return refusal(
            f"Line {line} names the delimiter to a spreadsheet program, and is not a header row. Remove it, or use a"
            f" mapping with skipped_lines = {line}."
        )
    if mapping.by_header is None:
        return refusal(
            f"Line {line} is not a header row: it has no field name. Begin the file with the names of the fields,"
            " as case_Key,carePlan_Key,do_Not_Contact, or use a mapping (?mapping=NAME, or --mapping NAME)."
        )
    return refusal(
        f"Line {line} is not a header row: it has no column name of the mapping. Check which mapping the file is"
        " for, its delimiter, and its skipped_lines."
    )


def _unknown(mapping: FileMapping, header: Sequence[str], place: int, line: int) -> BatchRefused:
    known = {name.lower(): name for name in (FIELD if mapping.by_header is None else mapping.by_header)}
    close = closest(header[place].strip().lower()[:_LONGEST_NAME], known)
    meant = f"; did you mean {known[close]}?" if close else "."
    what = "field" if mapping.by_header is None else "column of the mapping"
    return refusal(
        f"Line {line}, the header row: column {place + 1} is not a {what}{meant} Remove it, or use a mapping with"
        ' other_columns = "ignore".'
    )
