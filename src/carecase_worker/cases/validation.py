"""Raw items to rows of `care_case` or outcomes; one item's faults never touch another."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

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
from carecase_worker.cases.outcome import Kind, Outcome

Row = dict[str, Any]
"""A valid case: every field of the table by its name; date-times are aware and in UTC."""

_ALL: TypeAdapter[list[BaseModel]] = TypeAdapter(cast(Any, list[CareCase]))
_RAW = msgspec.json.Decoder(list[msgspec.Raw])
_NUL_ESCAPE = b"\\u0000"
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
    """What validation needs to know of the batch: the care plan of its path if it has one, who sent it, when."""

    care_plan: int | None
    user: str
    moment: datetime


class _KeyOnly(msgspec.Struct):
    case_Key: int


_KEY = msgspec.json.Decoder(_KeyOnly)


def validate(items: bytes, rules: Rules) -> list[Row | Outcome]:
    """A row or an outcome for each item of a JSON array, in order."""
    if (cases := _validate_all(items)) is None:
        judged: list[BaseModel | Outcome] = [_validate_one(bytes(raw)) for raw in _RAW.decode(items)]
    else:
        judged = list(cases)
    may_hold_nul = _NUL_ESCAPE in items
    return [one if isinstance(one, Outcome) else _row(one, rules, may_hold_nul) for one in judged]


def keys_of(items: bytes) -> list[int | None]:
    """The case key of each item of a JSON array, or None where it has no usable one."""
    return [_key_of(raw) for raw in _RAW.decode(items)]


def without(items: bytes, places: Collection[int]) -> bytes:
    """A JSON array with null at some places."""
    if not places:
        return items
    return b"[" + b",".join(b"null" if n in places else bytes(raw) for n, raw in enumerate(_RAW.decode(items))) + b"]"


def invalid(*faults: str) -> Outcome:
    """The outcome of an item that breaks rules; each fault is `field: rule`."""
    return Outcome(Kind.INVALID, "; ".join(faults))


def _validate_all(items: bytes) -> list[BaseModel] | None:
    try:
        return _ALL.validate_json(items)
    except ValidationError:
        return None


def _validate_one(item: bytes) -> BaseModel | Outcome:
    try:
        return CareCase.model_validate_json(item)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        return invalid(*dict.fromkeys(_fault(detail) for detail in details))


def _fault(detail: ErrorDetails) -> str:
    """Field and rule of one pydantic error, without the value."""
    if detail["type"] == "json_invalid":
        return "item: must be JSON without excessive nesting or numbers"
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
    if detail["type"] == "finite_number":
        return "must be a finite number"
    return _TYPE_RULES[field.type]


def _row(case: BaseModel, rules: Rules, may_hold_nul: bool) -> Row | Outcome:
    """The row of a case, its date-times in UTC and its audit fields filled in; or why there is none."""
    row = vars(case)
    faults = _to_utc(row)
    if may_hold_nul:
        faults += [f"{name}: {_NO_NUL}" for name, value in row.items() if isinstance(value, str) and "\0" in value]
    if rules.care_plan is not None and row[CARE_PLAN] != rules.care_plan:
        faults.append(f"{CARE_PLAN}: must equal the care plan of the path")
    faults += [
        f"{name}: must not be null"
        for name in (ENTRY_DATE, UPDATE_DATE)
        if row[name] is None and name in case.model_fields_set
    ]
    if faults:
        return invalid(*faults)
    _fill_audit_fields(row, rules)
    return row


def _to_utc(row: Row) -> list[str]:
    """Turn the row's date-times from text into moments in UTC; the faults of those that are none."""
    faults = []
    for name in DATE_TIME_FIELDS:
        text = row[name]
        if text is None:
            continue
        try:
            moment = datetime.fromisoformat(text.upper())
            row[name] = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            faults.append(f"{name}: {_DATE_TIME}")
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


def _key_of(raw: msgspec.Raw) -> int | None:
    key: int | None
    try:
        key = _KEY.decode(raw).case_Key
    except msgspec.ValidationError:
        key = _last_key_of(raw)
    except msgspec.DecodeError:
        return None
    return key if key is not None and INT32_MIN <= key <= INT32_MAX else None


def _last_key_of(raw: msgspec.Raw) -> int | None:
    """The key of an item that has several: the last one counts, as in every other member."""
    item = msgspec.json.decode(raw)
    key = item.get(KEY) if isinstance(item, dict) else None
    return key if isinstance(key, int) and not isinstance(key, bool) else None
