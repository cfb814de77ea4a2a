"""A case as msgspec reads it: in less than a microsecond, and from the same field table as the published model.

A case that it reads keeps every rule that a type can express (see `validation.py` for the others). A case that it
refuses may still be valid: it knows one form of date-time, and the rules know several. msgspec rounds fractions that
are finer than a microsecond, and the contract wants them cut: so the digits beyond are removed before it reads.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from carecase_worker.cases.care_case import DATE_TIME_FIELDS, FIELDS, INT32_MAX, INT32_MIN, CaseField, FieldType

_TYPES: dict[FieldType, Any] = {
    FieldType.INT32: Annotated[int, msgspec.Meta(ge=INT32_MIN, le=INT32_MAX)],
    FieldType.DOUBLE: float,
    FieldType.BOOLEAN: bool,
    FieldType.DATE_TIME: datetime,
}


def _member(field: CaseField) -> tuple[Any, ...]:
    """Return a field's name, its type and, if it may be left out, its default.

    That is None, or UNSET where null is refused.
    """
    is_text = field.type is FieldType.STRING
    kind = Annotated[str, msgspec.Meta(max_length=field.max_length)] if is_text else _TYPES[field.type]
    if field.required:
        return field.name, kind
    return (field.name, kind | None, None) if field.nullable else (field.name, kind | msgspec.UnsetType, msgspec.UNSET)


TypedCase: Any = msgspec.defstruct(
    "TypedCase",
    [_member(field) for field in FIELDS],
    module=__name__,
    kw_only=True,
    gc=False,  # no reference cycles are possible
    omit_defaults=True,
)

_MAY_BE_UNSET = tuple(field.name for field in FIELDS if not field.required and not field.nullable)
_ONE = msgspec.json.Decoder(TypedCase)
_ALL = msgspec.json.Decoder(list[TypedCase])
_encoder = msgspec.json.Encoder()

_MAYBE_FINER = re.compile(rb"\.[0-9]{7}")
_FINER = re.compile(
    rb'("(?:' + "|".join(DATE_TIME_FIELDS).encode() + rb')"\s*:\s*"[0-9-]{10}[Tt ][0-9:]{8}\.[0-9]{6})[0-9]+'
)
"""A date-time with more than six digits. It matches nothing within a string: there its quotes would be escaped."""


def read_all(items: bytes) -> list[Any] | None:
    """Read the cases of a JSON array; None if one of them cannot be read this way."""
    try:
        return _ALL.decode(_cut_fractions(items))
    except (ValueError, RecursionError):
        return None


def read_one(item: msgspec.Raw) -> Any | None:
    """Read one case; None if it cannot be read this way."""
    try:
        return _ONE.decode(_cut_fractions(item))
    except (ValueError, RecursionError):
        return None


def _cut_fractions(text: bytes | msgspec.Raw) -> bytes | msgspec.Raw:
    """Cut the fractions of all date-times to six digits; JSON in, JSON out. No letter or digit may be escaped."""
    return _FINER.sub(rb"\1", bytes(text)) if _MAYBE_FINER.search(text) else text


def write_all(cases: Sequence[Any]) -> bytes:
    """Write cases as a JSON array in one fixed form: members once each, nulls left out, RFC 3339 date-times."""
    return _encoder.encode(cases)


def read_written(text: bytes) -> list[Any]:
    """Read the cases of an array that `write_all` has written."""
    return _ALL.decode(text)


def row_of(case: Any) -> dict[str, Any]:
    """Return every field of a case by its name; None for one that was left out."""
    row = msgspec.structs.asdict(case)
    for name in _MAY_BE_UNSET:
        if row[name] is msgspec.UNSET:
            row[name] = None
    return row
