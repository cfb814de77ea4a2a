"""Checks of a mapping's settings: mistakes, contradictions, and a trial with a sample row."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from itertools import combinations

from carecase_worker.cases.care_case import FIELD, FieldType
from carecase_worker.cases.outcomes import Outcome
from carecase_worker.cases.validation import Rules, validate
from carecase_worker.errors import BatchRefused
from carecase_worker.files.mapping import IGNORED, FileMapping, MappingMistakes, mapping_of
from carecase_worker.files.splitting import RowSplitter
from carecase_worker.plural import counted
from carecase_worker.settings.sections.files import FileSettings

_MOMENT = datetime(2026, 1, 31, 13, 5, 9, tzinfo=UTC)
_OF_ROWS_BY_HEADER = "is for files with a header row, and this mapping has none: leave it out"
_DEFAULTS = FileSettings.model_validate({})
_KINDS = {
    "date_formats": (FieldType.DATE_TIME, "a date-time"),
    "decimal": (FieldType.DOUBLE, "a number"),
    "true_tokens": (FieldType.BOOLEAN, "true or false"),
    "false_tokens": (FieldType.BOOLEAN, "true or false"),
}
"""Settings that apply to the cells of one type."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark on a setting of a mapping; `is_mistake` if hardly any file could be read as intended."""

    setting: str
    text: str
    is_mistake: bool = True


def remarks(settings: FileSettings) -> Iterator[Remark]:
    """Yield the actual and possible mistakes in the settings of a mapping, with advice."""
    try:
        mapping = mapping_of(settings)
    except MappingMistakes as error:
        yield from (Remark(setting, text) for setting, text in error.mistakes)
        return
    yield from _same_names(settings)
    yield from _without_effect(settings, mapping)
    yield from _tokens(settings)
    yield from _overlaps(mapping)
    yield from _sample(settings, mapping)


def summary(settings: FileSettings) -> str:
    """Describe the size of a mapping."""
    columns = len(settings.columns or settings.fixed)
    form = "fields by their places" if settings.fixed else "columns"
    named = f"{columns} {form}" if columns else "columns named as the fields"
    constants = f", {counted(len(settings.constants), 'constant')}"
    return f"{named}{constants if settings.constants else ''}; a sample row becomes a case"


def _same_names(settings: FileSettings) -> Iterator[Remark]:
    names = [name.strip().lower() for name in settings.columns] if isinstance(settings.columns, Mapping) else []
    if len(set(names)) < len(names):
        yield Remark("columns", "has two names that differ only in blanks or case; a file has one. Keep one of them")


def _without_effect(settings: FileSettings, mapping: FileMapping) -> Iterator[Remark]:
    """Yield settings without effect."""
    if not mapping.has_header and settings.other_columns != _DEFAULTS.other_columns:
        yield Remark("other_columns", _OF_ROWS_BY_HEADER, is_mistake=False)
    if settings.fixed and settings.delimiter != _DEFAULTS.delimiter:
        yield Remark("delimiter", "is not used with fixed: leave out one of them", is_mistake=False)
    fields = _fields(settings)
    types = {FIELD[name].type for name in fields} if fields else {field.type for field in FIELD.values()}
    for setting, (kind, words) in _KINDS.items():
        if kind not in types and getattr(settings, setting) != getattr(_DEFAULTS, setting):
            yield Remark(setting, f"does nothing: no column of the mapping is {words}. Leave it out", is_mistake=False)


def _tokens(settings: FileSettings) -> Iterator[Remark]:
    nulls = {token.strip().casefold() for token in settings.null_tokens}
    for setting in ("true_tokens", "false_tokens"):
        tokens = getattr(settings, setting)
        if both := sorted(nulls & {token.strip().casefold() for token in tokens}):
            yield Remark(
                setting,
                f"has {both[0] or 'an empty token'}, which is in null_tokens, too, so it means null; remove one",
            )
        if not tokens and "do_Not_Contact" not in settings.constants:
            yield Remark(setting, "is empty, so no cell can mean that; add the value that files use for it")
    if "" not in nulls:
        text = (
            'lacks "": an empty cell is empty text, and a fault in a number or date. Add "" if an empty cell means null'
        )
        yield Remark("null_tokens", text, is_mistake=False)


def _overlaps(mapping: FileMapping) -> Iterator[Remark]:
    for (name, place), (other, its) in combinations(mapping.places.items(), 2):
        if place.start < its.stop and its.start < place.stop:
            yield Remark("fixed", f"the places of {name} and {other} overlap: they share characters. Correct them")


def _sample(settings: FileSettings, mapping: FileMapping) -> Iterator[Remark]:
    """Yield the faults of a sample row made for the mapping: of its constants or formats."""
    splitter = RowSplitter(mapping)
    try:
        items = [*splitter.feed(_file(settings, mapping)), *splitter.finish()]
    except UnicodeEncodeError:
        yield Remark(
            "columns", f"has names with characters that {settings.encoding} lacks; set the encoding of the files"
        )
        return
    except BatchRefused as refusal:
        yield Remark("columns", f"a sample file is refused: {refusal}")
        return
    for judged in validate(b"[%b]" % bytes(items[0]), Rules(None, "", _MOMENT)):
        if isinstance(judged, Outcome):
            for fault in (judged.body or "").split("; "):
                name = fault.partition(": ")[0]
                setting = "constants" if name in settings.constants else "fixed" if settings.fixed else "columns"
                yield Remark(setting, f"a sample row is refused: {fault}")


def _fields(settings: FileSettings) -> list[str]:
    columns = settings.columns.values() if isinstance(settings.columns, Mapping) else settings.columns
    return [name for name in (*columns, *settings.fixed) if name != IGNORED]


def _file(settings: FileSettings, mapping: FileMapping) -> bytes:
    """Return a file with one row for a mapping, surrounded by as many lines as the mapping skips."""
    if mapping.places:
        lines = [_fixed(settings, mapping)]
    else:
        names = list(settings.columns) if isinstance(settings.columns, Mapping) else []
        fields = list(settings.columns.values()) if isinstance(settings.columns, Mapping) else list(settings.columns)
        if not fields:
            names = fields = [name for name in FIELD if name not in settings.constants]
        row = [_cell(name, settings) for name in fields]
        lines = [*([_row(names, settings)] if names else []), _row(row, settings)]
    text = "\n" * settings.skipped_lines + "".join(
        f"{line}\n" for line in [*lines, *[lines[-1]] * settings.skipped_last_lines]
    )
    return text.encode(settings.encoding)


def _fixed(settings: FileSettings, mapping: FileMapping) -> str:
    line = [" "] * max(place.stop for place in mapping.places.values())
    for name, place in mapping.places.items():
        width = place.stop - place.start
        line[place] = list(_cell(name, settings)[:width].ljust(width))
    return "".join(line)


def _row(cells: list[str], settings: FileSettings) -> str:
    text = StringIO()
    csv.writer(text, delimiter=settings.delimiter, lineterminator="").writerow(cells)
    return text.getvalue()


def _cell(name: str, settings: FileSettings) -> str:
    """Return a cell of a field in the formats of the mapping."""
    known = FIELD.get(name)
    match known and known.type:
        case FieldType.INT32:
            return next(sign for sign in "123456789" if sign not in settings.null_tokens)
        case FieldType.DOUBLE:
            return f"1{settings.decimal}5"
        case FieldType.BOOLEAN:
            return next(iter(settings.true_tokens), "")
        case FieldType.DATE_TIME:
            return _MOMENT.strftime(settings.date_formats[0]) if settings.date_formats else "2026-01-31"
        case _:
            return "A"
