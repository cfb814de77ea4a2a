"""The header row of a file, held against its mapping."""

from collections.abc import Sequence
from dataclasses import dataclass

from carecase_worker.cases.care_case import FIELD
from carecase_worker.errors import BatchRefused
from carecase_worker.files.mapping import IGNORED, FileMapping
from carecase_worker.files.refusals import refusal
from carecase_worker.settings.places import closest

MOST_COLUMNS = 1000
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is taken: its place in a row, and its field."""

    place: int
    field: str


def columns_of(mapping: FileMapping, header: Sequence[str], line: int) -> list[Column]:
    """Return the columns that a header row names. Raises BatchRefused; no name of the file's own is quoted."""
    if len(header) > MOST_COLUMNS:
        raise refusal(f"Line {line} has more than {MOST_COLUMNS} columns. Leave out those that are no fields.")
    fields = [mapping.field_of(name) for name in header]
    columns = [Column(place, name) for place, name in enumerate(fields) if name]
    if not columns:
        raise _no_header(mapping, line)
    if not mapping.ignores_others and None in fields:
        raise _unknown(mapping, header, fields.index(None), line)
    names = [column.field for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise refusal(f"Line {line}, the header row, has two columns for {name}. Leave one of them out.")
    _require_all(mapping, names, line)
    return columns


def _require_all(mapping: FileMapping, names: Sequence[str], line: int) -> None:
    """Raise BatchRefused if a column is missing: each case would lose that field, or be refused."""
    if mapping.by_header is not None:
        absent = [name for name in mapping.by_header.values() if name != IGNORED and name not in names]
        if absent:
            raise refusal(
                f"Line {line}, the header row, has no column for {', '.join(absent)}, which the mapping names. Send a"
                " file with that column, or take it out of the mapping."
            )
    if absent := mapping.missing(names):
        raise refusal(
            f"Line {line}, the header row, has no {', '.join(absent)}, which every case needs. Add the column, or use a"
            " mapping that has it in constants."
        )


def _no_header(mapping: FileMapping, line: int) -> BatchRefused:
    if mapping.by_header is None:
        return refusal(
            f"Line {line} is no header row: it has the name of no field. Begin the file with the names of the fields,"
            " as case_Key,carePlan_Key,do_Not_Contact, or use a mapping (?mapping=NAME, or --mapping NAME)."
        )
    return refusal(
        f"Line {line} is no header row: it has the name of no column of the mapping. Check which mapping the file is"
        " for, its delimiter, and its skipped_lines."
    )


def _unknown(mapping: FileMapping, header: Sequence[str], place: int, line: int) -> BatchRefused:
    known = {name.lower(): name for name in (FIELD if mapping.by_header is None else mapping.by_header)}
    close = closest(header[place].strip().lower()[:_LONGEST_NAME], known)
    meant = f"; did you mean {known[close]}?" if close else "."
    what = "field" if mapping.by_header is None else "column of the mapping"
    return refusal(
        f"Line {line}, the header row: column {place + 1} is no {what}{meant} Leave it out, or use a mapping with"
        ' other_columns = "ignore".'
    )
