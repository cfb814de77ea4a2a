"""What the contract says of one item, read from the contract and its field table alone.

Slow, plain, and with nothing in common with the package: it parses with the json module and counts days itself.
"""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isinf
from pathlib import Path
from typing import Any

TABLE = list(csv.DictReader((Path(__file__).parent / "contract" / "care_case_fields.csv").open(encoding="utf-8")))
AUDIT_DATES, AUDIT_USERS = ("entry_Date", "update_Date"), ("entry_User", "update_User")

Fault = tuple[str, str]
"""A field, or `item`, and the rule that it breaks."""


@dataclass(frozen=True)
class Sender:
    """What the rules need to know beside the item."""

    care_plan: int | None
    user: str
    moment: datetime


@dataclass(frozen=True)
class Number:
    """A JSON number as it is written: Python's int has a limit of digits and its float no exactness."""

    text: str

    @property
    def is_integer(self) -> bool:
        return re.fullmatch("-?[0-9]+", self.text) is not None


class NoDateTime(Exception):
    """A text is no date-time."""


def judge(item: str, sender: Sender) -> dict[str, Any] | frozenset[Fault]:
    """The row that must be stored for an item, or every fault that its 422 must name."""
    parsed = json.loads(item, parse_int=Number, parse_float=Number)
    if not isinstance(parsed, dict):
        return frozenset({("item", "object")})
    faults: set[Fault] = set()
    row: dict[str, Any] = {}
    for field in TABLE:
        name = field["field"]
        if name not in parsed:
            row[name] = None
            if field["required"] == "yes":
                faults.add((name, "required"))
        elif parsed[name] is None:
            row[name] = None
            if field["nullable"] == "no":
                faults.add((name, "null"))
        else:
            broken = set(rules_broken(field, parsed[name], row))
            faults |= {(name, rule) for rule in broken}
    plan = row.get("carePlan_Key")
    if plan is not None and sender.care_plan is not None and plan != sender.care_plan:
        faults.add(("carePlan_Key", "care plan"))
    if faults:
        return frozenset(faults)
    for name in AUDIT_DATES:
        row[name] = row[name] or sender.moment
    for name in AUDIT_USERS:
        row[name] = sender.user if row[name] is None else row[name]
    return row


def usable_key(item: str) -> int | None:
    """The key that the item's answer names."""
    parsed = json.loads(item, parse_int=Number, parse_float=Number)
    row: dict[str, Any] = {}
    if isinstance(parsed, dict) and parsed.get("case_Key") is not None:
        list(rules_broken({"field": "case_Key", "type": "int32"}, parsed["case_Key"], row))
    return row.get("case_Key")


def rules_broken(field: dict[str, str], value: Any, row: dict[str, Any]) -> Iterator[str]:
    """The rules that a value which is not null breaks; if it breaks none, it is put into the row."""
    match field["type"]:
        case "int32":
            if not isinstance(value, Number) or not value.is_integer:
                yield "integer"
            elif len(value.text) > 20 or not -(2**31) <= int(value.text) < 2**31:
                yield "int32"
            else:
                row[field["field"]] = int(value.text)
        case "double":
            if not isinstance(value, Number):
                yield "number"
            elif isinf(float(value.text)):
                yield "finite"
            else:
                row[field["field"]] = float(value.text) + 0 if value.is_integer else float(value.text)  # -0 is 0
        case "boolean":
            if not isinstance(value, bool):
                yield "boolean"
            else:
                row[field["field"]] = value
        case "date-time":
            try:
                row[field["field"]] = moment(value)
            except NoDateTime:
                yield "date-time"
        case "string":
            if not isinstance(value, str):
                yield "string"
                return
            too_long = len(value) > int(field["max_length"])
            unsound = any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value)
            if too_long:
                yield f"at most {field['max_length']} characters"
            if unsound:
                yield "U+0000"
            if not too_long and not unsound:
                row[field["field"]] = value


def moment(value: Any) -> datetime:
    """The time of an ISO 8601 date-time in extended format, or of a date; raises NoDateTime."""
    if not isinstance(value, str):
        raise NoDateTime
    text = Text(value)
    year, month, day = text.digits(4), text.after("-").digits(2), text.after("-").digits(2)
    try:
        begin = datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        raise NoDateTime from None
    if text.is_empty:
        return begin
    hour, minute = text.after("Tt ").digits(2), text.after(":").digits(2)
    second = text.after(":").digits(2) if text.begins_with(":") else 0
    fraction = text.after(".,").any_digits() if text.begins_with(".,") and text.has_seconds else ""
    offset = zone(text)
    if not text.is_empty or minute > 59 or second > 60 or hour > 24:
        raise NoDateTime
    if hour == 24 and (minute or second or fraction.strip("0")):
        raise NoDateTime
    microseconds = int(fraction.ljust(6, "0")[:6]) if second < 60 else 0
    try:
        result = begin + (timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microseconds) - offset)
    except OverflowError:
        raise NoDateTime from None
    if second == 60 and (result.day, result.hour, result.minute, result.second) != (1, 0, 0, 0):
        raise NoDateTime
    return result


def zone(text: "Text") -> timedelta:
    """The offset at the end of a date-time, and its annotations; none is UTC."""
    if text.is_empty:
        return timedelta()
    result = offset(text)
    for _ in range(4):
        if not text.is_empty:
            text.annotation()
    return result


def offset(text: "Text") -> timedelta:
    if text.begins_with("Zz"):
        text.after("Zz")
        return timedelta()
    if text.begins_with(" "):
        text.after(" ")
        if text.begins_with("U"):
            text.after("U").after("T").after("C")
            return timedelta()
    sign = -1 if text.begins_with("-") else 1
    parts = [text.after("+-").digits(2), 0, 0]
    colon = text.begins_with(":")
    for part in (1, 2):
        if text.is_empty or text.begins_with("["):
            break
        parts[part] = (text.after(":") if colon else text).digits(2)
    if parts[0] > 23 or max(parts[1:]) > 59:
        raise NoDateTime
    return sign * timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2])


class Text:
    """A text that is read from left to right; what is not as expected is no date-time."""

    def __init__(self, rest: str) -> None:
        self._rest = rest
        self._colons = 0

    @property
    def is_empty(self) -> bool:
        return not self._rest

    @property
    def has_seconds(self) -> bool:
        return self._colons == 2

    def begins_with(self, characters: str) -> bool:
        return bool(self._rest) and self._rest[0] in characters

    def after(self, characters: str) -> "Text":
        if not self.begins_with(characters):
            raise NoDateTime
        self._colons += self._rest[0] == ":"
        self._rest = self._rest[1:]
        return self

    def digits(self, count: int) -> int:
        head = self._rest[:count]
        if len(head) < count or any(character not in "0123456789" for character in head):
            raise NoDateTime
        self._rest = self._rest[count:]
        return int(head)

    def annotation(self) -> None:
        """Pass over an RFC 9557 annotation, as [Europe/Berlin]; one that must be understood is not accepted."""
        self.after("[")
        name, end, rest = self._rest.partition("]")
        allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+=-"
        if not end or not 1 <= len(name) <= 64 or any(character not in allowed for character in name):
            raise NoDateTime
        self._rest = rest

    def any_digits(self) -> str:
        rest = self._rest.lstrip("0123456789")
        head = self._rest[: len(self._rest) - len(rest)]
        if not head:
            raise NoDateTime
        self._rest = rest
        return head
