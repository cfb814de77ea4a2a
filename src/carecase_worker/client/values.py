"""Conversion of a program's values to JSON: dates, numbers, missing values.

pandas, numpy and pyarrow are not imported; their values are recognised by their attributes.
"""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import singledispatch
from math import isfinite, isnan
from typing import Any
from uuid import UUID

import msgspec
from pydantic import BaseModel

from carecase_worker.cases.care_case import FIELDS, FieldType
from carecase_worker.errors import BatchUnreadable

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_EXACT = 2**53
_INTEGERS = frozenset(field.name for field in FIELDS if field.type is FieldType.INT32)


class _NoJson(Exception):
    """A value cannot be written as JSON; the text says why and what to do, without quoting the value."""


def encoded(case: Any, number: int) -> bytes:
    """Encode a case as JSON; `number` is its position in the batch, for messages. Raises BatchUnreadable."""
    named = members_of(case)
    if named is None:
        raise BatchUnreadable(f"Case {number} is not a case: expected a mapping or CareCase, not {_type_of(case)}.")
    members = {}
    for name, value in named.items():
        if not isinstance(name, str):
            raise BatchUnreadable(f"Case {number}: the name of a field is of type {_type_of(name)}. Give it as str.")
        try:
            members[str.__str__(name)] = value if type(value) in _AS_THEY_ARE else _fitting(name, plain(value))
        except _NoJson as error:
            raise BatchUnreadable(f"Case {number}, {name}: {error}.") from None
        except (TypeError, ValueError, ArithmeticError, RecursionError):
            raise BatchUnreadable(f"Case {number}, {name}: {_of_no_form(value)}.") from None
    try:
        return _ENCODER.encode(members)
    except UnicodeEncodeError:
        raise BatchUnreadable(
            f"Case {number}, {_not_unicode(members)}: a lone surrogate is not valid Unicode."
        ) from None


def members_of(case: Any) -> Mapping[Any, Any] | None:
    """Return the members of a mapping, CareCase, dataclass, named tuple or row; None for any other object."""
    if isinstance(case, type):
        return None  # it has the members of its instances, but no values
    if isinstance(case, Mapping):
        return case
    if isinstance(case, BaseModel):
        return case.model_dump(exclude_unset=True, by_alias=True)
    if is_dataclass(case):
        return {field.name: getattr(case, field.name) for field in fields(case)}
    if hasattr(case, "_asdict"):
        return dict(case._asdict())
    if hasattr(case, "keys") and hasattr(case, "__getitem__"):
        return dict(case)
    return None


@singledispatch
def plain(value: Any) -> Any:
    """Convert a value to a JSON type; a missing one becomes None. Raises _NoJson if that is impossible."""
    if getattr(value, "shape", ()) != ():
        raise _NoJson(f"{_type_of(value)} has several values; give one")
    if _is_missing(value):
        return None
    if hasattr(value, "isoformat") and hasattr(value, "year"):
        return value.isoformat()
    return _number_like(value)


def _number_like(value: Any) -> Any:
    """Convert a value that behaves like a scalar of numpy or Arrow, or like a number."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind == "M":
        years = int(value.astype("datetime64[Y]").astype(int)) + 1970
        if not 1 <= years <= 9999:  # numpy silently wraps years outside of these
            raise _NoJson("the date is not within the years 1 to 9999")
        return str(value.astype("datetime64[us]"))
    if hasattr(value, "as_py"):
        return plain(value.as_py())
    if hasattr(value, "item") and kind != "m":
        item = value.item()
        if type(item) is not type(value):
            return plain(item)
    if hasattr(value, "__index__"):
        return operator.index(value)
    if hasattr(value, "__float__") and kind != "m":
        return plain(float(value))
    raise _NoJson(_of_no_form(value))


@plain.register(type(None))
@plain.register(bool)
def _(value: bool | None) -> bool | None:
    return value


@plain.register
def _(value: str) -> str:
    return str.__str__(value)  # a subclass may show itself in another way


@plain.register
def _(value: int) -> int:
    return int(value)


@plain.register
def _(value: float) -> float | None:
    if isnan(value):
        return None
    if not isfinite(value):
        raise _NoJson("the number is not finite, which JSON cannot express; give None or a number")
    return float(value)


@plain.register
def _(value: Decimal) -> Decimal | None:
    if value.is_nan():
        return None
    if not value.is_finite():
        raise _NoJson("the number is not finite, which JSON cannot express; give None or a number")
    return value


@plain.register
def _(value: Enum) -> Any:
    return plain(value.value)


@plain.register
def _(value: UUID) -> str:
    return str(value)


@plain.register
def _(value: datetime) -> str | None:
    if _is_missing(value):
        return None
    try:  # an offset may have seconds, which the contract's format cannot express
        moment = value if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:  # the service refuses such a year with its own message
        moment = value
    return moment.isoformat().replace("+00:00", "Z")


@plain.register
def _(value: date) -> str:
    return value.isoformat()


@plain.register(bytes)
@plain.register(bytearray)
@plain.register(memoryview)
def _(value: Any) -> Any:
    raise _NoJson(f"{_type_of(value)} is not text; decode it, value.decode()")


@plain.register(Mapping)
def _(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): plain(member) for name, member in value.items()}


@plain.register(list)
@plain.register(tuple)
@plain.register(set)
@plain.register(frozenset)
def _(value: Iterable[Any]) -> list[Any]:
    return [plain(member) for member in value]


def _is_missing(value: Any) -> bool:
    """Return whether a value is missing as in pandas and numpy: unequal to itself, or compared to NA."""
    unequal = value != value
    try:
        return unequal is value or bool(unequal)
    except (TypeError, ValueError):
        return False


def _fitting(name: str, value: Any) -> Any:
    """Convert a whole number to int where the contract requires it: pandas turns integers with gaps into floats."""
    if name in _INTEGERS and isinstance(value, (float, Decimal)) and -_EXACT < value < _EXACT and value == int(value):
        return int(value)
    return value


def _not_unicode(members: Mapping[str, Any]) -> str:
    """Return the name of the first member that cannot be encoded."""
    for name, value in members.items():
        try:
            _ENCODER.encode(value)
        except UnicodeEncodeError:
            return name
    return "the name of a field"


def _of_no_form(value: Any) -> str:
    return f"a value of type {_type_of(value)} cannot be written as JSON; give text, a number, a date-time or None"


def _type_of(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
