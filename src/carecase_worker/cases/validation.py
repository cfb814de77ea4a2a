"""Validation: raw items to rows of `care_case` or outcomes; one item's faults never affect another.

msgspec alone decodes most items (`fast_path.py`). The published model validates those that it rejects: it has every
rule and names the broken ones.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from types import MappingProxyType
from typing import Any

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from carecase_worker.cases.care_case import (
    CARE_PLAN,
    DATE_TIME_FIELDS,
    ENTRY_DATE,
    ENTRY_USER,
    FIELD,
    INT32_MAX,
    INT32_MIN,
    KEY,
    UPDATE_DATE,
    UPDATE_USER,
    CareCase,
    FieldType,
)
from carecase_worker.cases.date_times import in_utc, moment_of
from carecase_worker.cases.fast_path import read_all, read_one, read_written, row_of, write_all
from carecase_worker.cases.outcomes import Kind, Outcome

Row = dict[str, Any]
"""A valid case: every field of the table by its name; date-times are aware and in UTC."""

_RAW = msgspec.json.Decoder(list[msgspec.Raw])
_NONE: Mapping[int, str] = MappingProxyType({})
_MISREAD_ESCAPE = re.compile(rb"\\u00(?:00|2[eE]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9Aa])")
"""Escapes of U+0000, at which msgspec ends a date-time, and of letters and digits that may hide a fraction."""
_LAST_DAY, _FIRST_DAY = b'"9999-12-31', b'"0001-01-01'
_OUT_OF_RANGE = re.compile(rb'"(?:9999-12-31T[^"Z]*-|0001-01-01T[^"Z]*\+)')
"""A date-time of the last representable day that is later in UTC, or of the first one that is earlier in UTC."""
_NO_NUL = "must not contain U+0000 or a lone surrogate"
_DATE_TIME = "must be an ISO 8601 date-time between the years 1 and 9999"
_TYPE_RULES = {
    FieldType.INT32: "must be an integer",
    FieldType.DOUBLE: "must be a number",
    FieldType.STRING: "must be a string",
    FieldType.BOOLEAN: "must be true or false",
    FieldType.DATE_TIME: _DATE_TIME,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The facts of a batch for validation: the care plan of its path (or None), its user, its time of acceptance."""

    care_plan: int | None
    user: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class ValidCases:
    """The cases of a JSON array whose items are all valid."""

    keys: Sequence[int]
    """The key of each case, in order."""
    text: bytes
    """The cases as a JSON array, without nulls and without audit fields that were not given. Date-times without an
    offset are in UTC."""

    def rows(self, rules: Rules) -> list[Row]:
        """Return the cases as rows."""
        rows = [row_of(case) for case in read_written(self.text)]
        for row in rows:
            _settle(row, rules)
            _fill_audit_fields(row, rules)
        return rows


class _KeyOnly(msgspec.Struct):
    case_Key: int


_KEY = msgspec.json.Decoder(_KeyOnly)
_SHORTEST_BYTES = len(b'{"case_Key":0}')
"""Size in bytes of the shortest item with a key; trying to decode a smaller one would waste 0.8 µs."""
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
# the members are not repeated possessively: what moves on before it fails is not taken back by Python before 3.11.5
_KEY_AHEAD = re.compile(
    rb'\s*+\{(?:(?!\s*+"case_Key")\s*+'
    + _TEXT
    + rb"\s*+:\s*+(?:"
    + _TEXT
    + rb'\s*+|[^"\[\]{},]++),)*\s*+"case_Key"\s*+:\s*+(-?[0-9]{1,10})\s*+[,}]',
    re.DOTALL,
)
_SMALL_INTEGER = re.compile(rb"-?[0-9]{1,10}")
_LONG_NUMBER = 400
"""Maximum length in characters; a longer integer exceeds every bound, even that of a double."""


def read_valid(items: bytes, rules: Rules) -> ValidCases | None:
    """Return the cases of a JSON array, or None if any item needs item-by-item validation."""
    cases = None if _may_be_misread(items) else read_all(items)
    if cases is None or not _keep_care_plan(cases, rules.care_plan):
        return None
    keys, text = [case.case_Key for case in cases], write_all(cases)
    del cases  # free them now, while they are in the CPU cache; freeing is a quarter of their cost
    # searched from the right: CPython takes about half the time for it
    may_leave_range = text.rfind(_LAST_DAY) >= 0 or (b"+" in text and text.rfind(_FIRST_DAY) >= 0)
    return None if may_leave_range and _OUT_OF_RANGE.search(text) else ValidCases(keys, text)


def validate(items: bytes, rules: Rules, refused: Mapping[int, str] = _NONE) -> list[Row | Outcome]:
    """Return a row or an outcome for each item of a JSON array, in order; `refused` has known faults by index."""
    read = _judge_by_model if _may_be_misread(items) else _judge
    judged = [read(raw, rules) for raw in _RAW.decode(items)]
    for place, fault in refused.items():
        judged[place] = invalid(fault)
    return judged


def _may_be_misread(items: bytes) -> bool:
    """Return whether an escape may make msgspec read a date-time differently from the rules."""
    return b"\\" in items and _MISREAD_ESCAPE.search(items) is not None  # the first look is sixty times as fast


def _keep_care_plan(cases: Sequence[Any], care_plan: int | None) -> bool:
    return care_plan is None or all(case.carePlan_Key == care_plan for case in cases)


def keys_of(items: bytes) -> list[int | None]:
    """Return the case key of each item of a JSON array; None for one without a usable key."""
    return [key_of(raw) if len(raw) >= _SHORTEST_BYTES else None for raw in _RAW.decode(items)]


def without(items: bytes, places: Collection[int]) -> bytes:
    """Return a JSON array with null at some indices."""
    if not places:
        return items
    return b"[" + b",".join(b"null" if n in places else bytes(raw) for n, raw in enumerate(_RAW.decode(items))) + b"]"


def invalid(*faults: str) -> Outcome:
    """Return the outcome of an item that breaks rules; each fault is `field: rule`."""
    return Outcome(Kind.INVALID, "; ".join(faults))


def _judge(item: msgspec.Raw, rules: Rules) -> Row | Outcome:
    typed = read_one(item)
    return _judge_by_model(item, rules) if typed is None else _row(row_of(typed), rules)


def _judge_by_model(raw: msgspec.Raw | bytes, rules: Rules) -> Row | Outcome:
    item = bytes(raw)
    try:
        return _row(vars(CareCase.model_validate_json(item)), rules)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
    if details[0]["type"] != "json_invalid":
        return invalid(*dict.fromkeys(_fault(detail) for detail in details), *_more_faults(item, details, rules))
    readable = _shrink_for_parser(item)
    return invalid("item: must be JSON") if readable == item else _judge_by_model(readable, rules)


def _shrink_for_parser(item: bytes) -> bytes:
    """Shrink an item beyond the parser's depth or digit limits to one that breaks the same rules.

    Members that are not fields are dropped; deeply nested values and those of thousands of digits are replaced.
    """
    try:
        members = _MEMBERS.decode(item)
    except msgspec.ValidationError:
        return _short(item)
    except ValueError:  # the name of a member is not UTF-8
        return item
    kept = (f'"{name}":'.encode() + _short(bytes(members[name])) for name in FIELD if name in members)
    return b"{" + b",".join(kept) + b"}"


def _short(value: bytes) -> bytes:
    """Return a short value that breaks the same rules as this one."""
    if value[:1] in (b"[", b"{"):
        return b"[]"
    if value[:1] == b'"' or len(value) <= _LONG_NUMBER:
        return value
    if value.lstrip(b"-").isdigit():
        return value[:_LONG_NUMBER]
    number = float(value)
    return repr(number).encode() if isfinite(number) else b"1e999"


def _more_faults(item: bytes, details: Collection[ErrorDetails], rules: Rules) -> list[str]:
    """Return the faults of fields in which pydantic found none, or only a wrong length."""
    members = from_json(item)
    if not isinstance(members, dict):
        return []
    named = {detail["loc"][0] for detail in details if detail["type"] != "string_too_long"}
    return _settle({name: members[name] for name in FIELD if name in members and name not in named}, rules)


def _fault(detail: ErrorDetails) -> str:
    """Return field and rule of one pydantic error, without the value."""
    if not detail["loc"]:
        return "item: must be an object"
    name = str(detail["loc"][0])
    return f"{name}: {_rule(name, detail)}"


def _rule(name: str, detail: ErrorDetails) -> str:
    field = FIELD[name]
    if detail["type"] == "missing":
        return "is required"
    if detail["input"] is None:
        return "must not be null"
    if detail["type"] == "string_too_long":
        return f"must have at most {field.max_length} characters"
    if detail["type"] in ("greater_than_equal", "less_than_equal"):
        return f"must be between {INT32_MIN} and {INT32_MAX}"
    if detail["type"] == "finite_number" and field.type is FieldType.DOUBLE:
        return "must be a finite number"
    return _TYPE_RULES[field.type]


def _row(row: Row, rules: Rules) -> Row | Outcome:
    """Return the row with date-times in UTC and audit fields filled in, or the outcome that names its faults."""
    if faults := _settle(row, rules):
        return invalid(*faults)
    _fill_audit_fields(row, rules)
    return row


def _settle(row: Row, rules: Rules) -> list[str]:
    """Convert the date-times of fields to UTC; return the faults that types cannot express."""
    faults = []
    for name in DATE_TIME_FIELDS:
        value = row.get(name)
        if value is None:
            continue
        try:
            row[name] = in_utc(value) if isinstance(value, datetime) else moment_of(value)
        except (ValueError, OverflowError):
            faults.append(f"{name}: {_DATE_TIME}")
    faults += [f"{name}: {_NO_NUL}" for name, value in row.items() if isinstance(value, str) and "\0" in value]
    if rules.care_plan is not None and row.get(CARE_PLAN, rules.care_plan) != rules.care_plan:
        faults.append(f"{CARE_PLAN}: must equal the care plan of the path")
    return faults


def _fill_audit_fields(row: Row, rules: Rules) -> None:
    defaults = (
        (ENTRY_DATE, rules.moment),
        (UPDATE_DATE, rules.moment),
        (ENTRY_USER, rules.user),
        (UPDATE_USER, rules.user),
    )
    for name, default in defaults:
        if row[name] is None:
            row[name] = default


def key_of(raw: msgspec.Raw) -> int | None:
    """Return the case key of an item; None if it has no usable one."""
    key: int | None
    try:
        key = _KEY.decode(raw).case_Key
    except msgspec.ValidationError:
        key = _last_key_of(raw)
    except msgspec.DecodeError:  # the item is only the beginning of one
        key = _key_of_beginning(bytes(raw))
    return key if key is not None and INT32_MIN <= key <= INT32_MAX else None


def _last_key_of(raw: msgspec.Raw) -> int | None:
    """Return the key of an item with duplicate keys: the last one counts, as for every other member."""
    try:
        key = bytes(_MEMBERS.decode(raw).get(KEY, b""))
    except ValueError:
        return None
    return int(key) if _SMALL_INTEGER.fullmatch(key) else None


def _key_of_beginning(text: bytes) -> int | None:
    """Return the key of a truncated item; None if an array or object comes before it."""
    found = _KEY_AHEAD.match(text)
    return int(found[1]) if found else None
