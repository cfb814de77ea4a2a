"""Conversion of cells by the type of their column's field, never by their appearance.

A cell that cannot be converted stays text: then the item is invalid, and its outcome names the field and the rule.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from carecase_worker.cases.care_case import CaseField, FieldType
from carecase_worker.files.date_formats import DateFormat, iso_of

Column = Sequence[str]
Convert = Callable[[Column], Sequence[Any]]
"""A function that returns the values of a column; None for null."""

_INTEGER = re.compile("[+-]?[0-9]{1,400}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DATE_LENGTH = len("2026-11-27")
_MOST_REMEMBERED = 10_000
_INFINITE = (float("inf"), float("-inf"))


@dataclass(frozen=True, slots=True)
class CellForms:
    """The formats of a file's cells."""

    nulls: frozenset[str] = frozenset({""})
    truths: frozenset[str] = frozenset({"true"})
    falsehoods: frozenset[str] = frozenset({"false"})
    dates: tuple[DateFormat, ...] = ()
    decimal: str = "."
    trim: bool = False


def converter(field: CaseField, forms: CellForms) -> Convert:
    """Return the converter of a field's cells."""
    match field.type:
        case FieldType.STRING:
            return _texts(forms)
        case FieldType.INT32:
            return _integers(forms)
        case FieldType.DOUBLE:
            return _each(forms, lambda cell: _number(cell, forms.decimal))
        case FieldType.BOOLEAN:
            return _each(forms, lambda cell: _truth(cell, forms))
        case FieldType.DATE_TIME:
            return _date_times(forms)
        case never:
            assert_never(never)


def _texts(forms: CellForms) -> Convert:
    nulls, trim = forms.nulls, forms.trim
    is_usual = nulls == {""}

    def convert(column: Column) -> Sequence[Any]:
        cells = [cell.strip() for cell in column] if trim else column
        if is_usual:
            return [cell or None for cell in cells] if "" in cells else cells
        return [None if cell in nulls else cell for cell in cells]

    return convert


def _integers(forms: CellForms) -> Convert:
    one_by_one = _each(forms, _integer)
    has_digits = any(token.isdecimal() for token in forms.nulls)

    def convert(column: Column) -> Sequence[Any]:
        digits = "".join(column)
        if digits.isdecimal() and digits.isascii() and not has_digits:
            try:
                return list(map(int, column))
            except ValueError:  # there is an empty cell, or one of thousands of digits
                pass
        return one_by_one(column)

    return convert


def _date_times(forms: CellForms) -> Convert:
    one_by_one = _each(forms, lambda cell: iso_of(cell, forms.dates))
    is_usual = not forms.dates and forms.nulls == {""}

    def convert(column: Column) -> Sequence[Any]:
        if not is_usual or _DATE_LENGTH in set(map(len, column)):
            return one_by_one(column)
        joined = "".join(column)
        if joined and joined.split(None, 1) != [joined]:  # there are blanks to take off
            return one_by_one(column)
        return [cell or None for cell in column] if "" in column else column

    return convert


def _each(forms: CellForms, convert: Callable[[str], Any]) -> Convert:
    """Return a converter that converts each distinct cell once and caches the result."""
    known: dict[str, Any] = {}

    def convert_column(column: Column) -> Sequence[Any]:
        fresh = set(column).difference(known)
        if fresh:
            if len(known) + len(fresh) > _MOST_REMEMBERED:
                known.clear()
                fresh = set(column)
            for cell in fresh:
                bare = cell.strip()
                known[cell] = None if bare in forms.nulls or cell in forms.nulls else convert(bare)
        return [known[cell] for cell in column]

    return convert_column


def _integer(cell: str) -> int | str:
    return int(cell) if cell.isascii() and _INTEGER.fullmatch(cell) else cell


def _number(cell: str, decimal: str) -> float | str:
    plain = cell if decimal == "." else cell.replace(".", "_").replace(decimal, ".")
    if not _NUMBER.fullmatch(plain):
        return cell
    number = float(plain)
    return cell if number in _INFINITE else number


def _truth(cell: str, forms: CellForms) -> bool | str:
    folded = cell.casefold()
    if folded in forms.truths:
        return True
    return False if folded in forms.falsehoods else cell
