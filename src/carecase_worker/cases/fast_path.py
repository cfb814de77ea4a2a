"""The fast path of validation: msgspec decodes a case in less than a microsecond, by the same field table.

A case that it decodes meets every rule that a type can express (see `validation.py` for the others). A case that it
rejects may still be valid: it knows one format of date-times, the rules allow several. msgspec rounds fractions finer
than a microsecond, while the contract truncates them; so further digits are removed before decoding.
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

    The default is None, or UNSET where null is not allowed.
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
"""A date-time with more than six fractional digits. It cannot match within a string, where quotes are escaped."""


def read_all(items: bytes) -> list[Any] | None:
    """Decode the cases of a JSON array; None if one of them needs full validation."""
    try:
        return _ALL.decode(_cut_fractions(items))
    except (ValueError, RecursionError):
        return None


def read_one(item: msgspec.Raw) -> Any | None:
    """Decode one case; None if it needs full validation."""
    try:
        return _ONE.decode(_cut_fractions(item))
    except (ValueError, RecursionError):
        return None


def _cut_fractions(text: bytes | msgspec.Raw) -> bytes | msgspec.Raw:
    """Cut the fractions of all date-times to six digits; JSON in, JSON out. No letter or digit may be escaped."""
    return _FINER.sub(rb"\1", bytes(text)) if _MAYBE_FINER.search(text) else text


def write_all(cases: Sequence[Any]) -> bytes:
    """Encode cases as a JSON array in canonical form: each member once, no nulls, RFC 3339 date-times."""
    return _encoder.encode(cases)


def read_written(text: bytes) -> list[Any]:
    """Decode an array that `write_all` encoded."""
    return _ALL.decode(text)


def row_of(case: Any) -> dict[str, Any]:
    """Return every field of a case by its name; None for one that was left out."""
    row = msgspec.structs.asdict(case)
    for name in _MAY_BE_UNSET:
        if row[name] is msgspec.UNSET:
            row[name] = None
    return row
