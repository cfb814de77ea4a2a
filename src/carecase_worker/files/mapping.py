"""Mappings of a file's columns to fields of a case, built from settings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from carecase_worker.cases.care_case import FIELD, FIELDS, CaseField, FieldType
from carecase_worker.files.acknowledgement import NOTES
from carecase_worker.files.cells import CellForms
from carecase_worker.files.date_formats import DateFormat, contradiction
from carecase_worker.settings.places import nearest
from carecase_worker.settings.sections.files import FileSettings

REQUIRED = tuple(one.name for one in FIELDS if one.required)
IGNORED = ""
"""The field of an ignored column."""
_PLACES = re.compile("([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?")
_BY_LOWER = {name.lower(): name for name in FIELD}
_CONSTANTS: dict[FieldType, tuple[type, ...]] = {
    FieldType.INT32: (int,),
    FieldType.DOUBLE: (int, float),
    FieldType.STRING: (str,),
    FieldType.BOOLEAN: (bool,),
    FieldType.DATE_TIME: (str,),
}


class MappingMistakes(ValueError):
    """The settings of a mapping are wrong; `mistakes` has pairs of setting and text."""

    def __init__(self, mistakes: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{setting}: {text}" for setting, text in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class FileMapping:
    """A validated mapping.

    `by_header` has the field of each column by its lower-case name in the header row; None if the columns are named as
    the fields. `in_order` has the fields of a file without header row. `places` has the positions of each field in a
    line of fixed width. A `delimiter` of None is detected in the header row.
    """

    by_header: Mapping[str, str] | None = None
    in_order: tuple[str, ...] = ()
    places: Mapping[str, slice] = field(default_factory=dict)
    ignores_others: bool = False
    delimiter: str | None = None
    encoding: str = "utf-8"
    skipped_lines: int = 0
    skipped_last_lines: int = 0
    forms: CellForms = field(default_factory=CellForms)
    constants: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_header(self) -> bool:
        """True if the file begins with a header row."""
        return not self.in_order and not self.places

    def field_of(self, header: str) -> str | None:
        """Return the field of a column by its name in the header row; None if there is none."""
        name = header.strip().lower()
        known = _BY_LOWER.get(name) if self.by_header is None else self.by_header.get(name)
        return IGNORED if known is None and name in NOTES else known

    def missing(self, fields: Sequence[str]) -> list[str]:
        """Return the required fields without a column or constant."""
        return [name for name in REQUIRED if name not in fields and name not in self.constants]


NAMES_OF_FIELDS = FileMapping()
"""The mapping of a file whose columns are named as the fields."""


def mapping_of(settings: FileSettings) -> FileMapping:
    """Build a mapping from its settings. Raises MappingMistakes."""
    mistakes = list(_mistakes(settings))
    if mistakes:
        raise MappingMistakes(mistakes)
    by_header = settings.columns if isinstance(settings.columns, Mapping) else {}
    return FileMapping(
        by_header={header.strip().lower(): name for header, name in by_header.items()} or None,
        in_order=settings.columns if isinstance(settings.columns, tuple) else (),
        places={name: _slice(text) for name, text in settings.fixed.items()},
        ignores_others=settings.other_columns == "ignore",
        delimiter=settings.delimiter,
        encoding=settings.encoding,
        skipped_lines=settings.skipped_lines,
        skipped_last_lines=settings.skipped_last_lines,
        forms=CellForms(
            nulls=frozenset(settings.null_tokens),
            truths=frozenset(map(str.casefold, settings.true_tokens)),
            falsehoods=frozenset(map(str.casefold, settings.false_tokens)),
            dates=tuple(map(DateFormat.of, settings.date_formats)),
            decimal=settings.decimal,
            trim=settings.trim or bool(settings.fixed),
        ),
        constants=settings.constants,
    )


def _mistakes(settings: FileSettings) -> Iterator[tuple[str, str]]:
    yield from _of_columns(settings)
    for name, value in settings.constants.items():
        if fault := _fault_of_constant(name, value):
            yield "constants", fault
    for text in settings.date_formats:
        try:
            DateFormat.of(text)
        except ValueError as error:
            yield "date_formats", f"{text} {error}"
    if text := contradiction(settings.date_formats):
        yield "date_formats", text
    if {*map(str.casefold, settings.true_tokens)} & {*map(str.casefold, settings.false_tokens)}:
        yield "true_tokens", "must not share a token with false_tokens"
    if settings.decimal == settings.delimiter and not settings.fixed:
        yield "decimal", "must not be the delimiter"


def _of_columns(settings: FileSettings) -> Iterator[tuple[str, str]]:
    """Yield the mistakes in columns and places: unknown fields, fields that come twice, and required ones left out."""
    setting = "fixed" if settings.fixed else "columns"
    if settings.fixed and settings.columns:
        yield "fixed", "must not be set together with columns; set one of them"
        return
    named = list(settings.columns.values()) if isinstance(settings.columns, Mapping) else list(settings.columns)
    fields = [*settings.fixed, *(name for name in named if name != IGNORED)]
    for name in dict.fromkeys(fields):
        if name not in FIELD:
            yield setting, f"{name} is not a field of a case{nearest(name, FIELD)}"
        elif fields.count(name) > 1 or name in settings.constants:
            yield setting, f"{name} comes twice, here or in constants"
    for name, text in settings.fixed.items():
        if _slice(text).stop <= _slice(text).start:
            yield "fixed", f'the places of {name} must be like "1-10": from 1, the first not above the last'
    for name in FileMapping(constants=settings.constants).missing(fields) if fields else ():
        yield setting, f"there is no {name}, which every case needs; name its column, or set it in constants"


def _slice(text: str) -> slice:
    """Parse positions such as "1-10" as a slice; an empty one if they are invalid."""
    found = _PLACES.fullmatch(text)
    return slice(int(found[1]) - 1, int(found[2] or found[1])) if found else slice(0, 0)


def _fault_of_constant(name: str, value: object) -> str:
    """Describe the fault of a constant; empty if it has none."""
    known: CaseField | None = FIELD.get(name)
    if known is None:
        return f"{name} is not a field of a case{nearest(name, FIELD)}"
    if not isinstance(value, _CONSTANTS[known.type]) or (
        isinstance(value, bool) and known.type is not FieldType.BOOLEAN
    ):
        return f"{name} must be of the type {known.type.value}"
    return ""
