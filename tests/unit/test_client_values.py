"""Values of programs as JSON: dates and numbers convert, missing values become null, the rest is named.

pandas and numpy are not here; what stands in for their values behaves as they do.
"""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field
from tests.unit.odd_values import (
    Array,
    FloatOfPandas,
    Index,
    LongDouble,
    Moment,
    NotATime,
    NotAvailable,
    Scalar,
    ScalarOfArrow,
    Timestamp,
    Undecided,
)

from carecase_worker.client.values import encoded
from carecase_worker.errors import BatchUnreadable


class Grade(Enum):
    LOW = "LOW"


class Number(IntEnum):
    ONE = 1


class Text(StrEnum):
    A = "a"


class OldText(str, Enum):  # noqa: UP042  # that is the point
    A = "a"


MOMENT = datetime(2026, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("field", "value", "sent"),
    [
        ("case_Start_Date", MOMENT, "2026-01-02T03:04:05"),
        ("case_Start_Date", MOMENT.replace(tzinfo=UTC), "2026-01-02T03:04:05Z"),
        ("case_Start_Date", MOMENT.replace(tzinfo=ZoneInfo("Europe/Berlin")), "2026-01-02T02:04:05Z"),
        ("case_Start_Date", datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), "1879-12-31T23:06:32Z"),
        (
            "case_Start_Date",
            datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))),
            "9999-12-31T23:00:00-02:00",
        ),
        ("case_Start_Date", date(2026, 1, 2), "2026-01-02"),
        ("case_Start_Date", Timestamp(2026, 1, 2), "2026-01-02T03:04:05.123456789"),
        ("case_Start_Date", Scalar(1767323045123456789, "M"), "2026-01-02T03:04:05.123456"),
        ("case_Start_Date", Moment(), "2026-01-02T03:04:05+00:00"),
        ("case_Start_Date", ScalarOfArrow(date(2026, 1, 2)), "2026-01-02"),
        ("case_Start_Date", ScalarOfArrow(None), None),
        ("case_Start_Date", NotATime(2026, 1, 2), None),
        ("case_Start_Date", Scalar(float("nan"), "M"), None),
        ("case_Score", NotAvailable(), None),
        ("case_Score", float("nan"), None),
        ("case_Score", FloatOfPandas("nan"), None),
        ("case_Score", FloatOfPandas(1.5), 1.5),
        ("case_Score", Decimal("NaN"), None),
        ("case_Score", Decimal("sNaN"), None),
        ("case_Score", Decimal("1.50"), 1.5),
        ("case_Score", Fraction(1, 4), 0.25),
        ("case_Score", LongDouble(), 1.5),
        ("case_Score", Scalar(1.5, "f"), 1.5),
        ("case_Score", Scalar(float("nan"), "f"), None),
        ("case_Score", 5.0, 5.0),
        ("case_Priority", Scalar(5), 5),
        ("case_Priority", Index(), 7),
        ("case_Priority", 5.0, 5),
        ("case_Priority", Scalar(5.0, "f"), 5),
        ("case_Priority", Decimal("5.0"), 5),
        ("case_Priority", Decimal("1E+400"), Decimal("1E+400")),
        ("case_Priority", 5.5, 5.5),
        ("case_Priority", float("nan"), None),
        ("case_Priority", Number.ONE, 1),
        ("case_Key", 2**70, 2**70),
        ("do_Not_Contact", Scalar(True, "b"), True),
        ("case_Status", Grade.LOW, "LOW"),
        ("case_Status", Text.A, "a"),
        ("case_Status", OldText.A, "a"),
        ("case_ID", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("other", [1, (float("nan"), {2: Decimal("NaN")})], [1, [None, {"2": None}]]),
    ],
)
def test_dates_and_numbers_convert_and_missing_values_become_null(field: str, value: Any, sent: Any) -> None:
    written = json.loads(encoded({field: value}, 0), parse_float=Decimal)[field]
    assert written == (Decimal(str(sent)) if isinstance(sent, float) else sent)
    assert type(written) is (Decimal if isinstance(sent, float) else type(sent))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "a value of type object cannot be written as JSON"),
        (Undecided(), "cannot be written as JSON"),
        (time(1), "a value of type datetime.time cannot be written as JSON"),
        (timedelta(1), "a value of type datetime.timedelta cannot be written as JSON"),
        (Scalar(5, "m"), "cannot be written as JSON"),
        (Scalar(5, "M", year=300_000), "not within the years 1 to 9999"),
        (Scalar(5, "M", year=0), "not within the years 1 to 9999"),
        (1j, "a value of type complex cannot be written as JSON"),
        (int, "a value of type type cannot be written as JSON"),
        (b"x", "bytes is not text; decode it"),
        (bytearray(b"x"), "bytearray is not text"),
        (float("inf"), "the number is not finite"),
        (Decimal("-Infinity"), "the number is not finite"),
        (FloatOfPandas("inf"), "the number is not finite"),
        (Array([1]), "has several values; give one"),
        ([[object()]], "a value of type object cannot be written as JSON"),
        ("\ud800", "a lone surrogate is not valid Unicode"),
    ],
)
def test_what_cannot_be_sent_is_named_by_case_field_and_type(value: Any, words: str) -> None:
    with pytest.raises(BatchUnreadable) as raised:
        encoded({"case_Key": 1, "case_ID": value}, 3)
    assert str(raised.value).startswith("Case 3, case_ID: ")
    assert words in str(raised.value)


@pytest.mark.parametrize("error", [TypeError, ValueError, OverflowError, RecursionError])
def test_a_value_that_fails_to_convert_is_named_alike(error: type[Exception]) -> None:
    class Failing:
        def __float__(self) -> float:
            raise error

    with pytest.raises(BatchUnreadable, match=r"^Case 3, case_Score: a value of .*Failing cannot be written"):
        encoded({"case_Key": 1, "case_Score": Failing()}, 3)


def test_a_value_that_contains_itself_is_reported() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BatchUnreadable, match="Case 0, case_ID: a value of type list"):
        encoded({"case_ID": endless}, 0)


@pytest.mark.parametrize("name", [None, 5, ("a",)])
def test_a_field_needs_a_name(name: Any) -> None:
    with pytest.raises(BatchUnreadable, match="Case 2: the name of a field is of type"):
        encoded({name: 1}, 2)


def test_a_name_that_is_no_unicode_is_reported() -> None:
    with pytest.raises(BatchUnreadable, match="Case 2, the name of a field: a lone surrogate is not valid Unicode"):
        encoded({"case_Key": 1, "\ud800": 1}, 2)


@dataclass
class DataClass:
    case_Key: int


class Model(BaseModel):
    key: int = Field(alias="case_Key")
    left_out: int | None = None


class Named(NamedTuple):
    case_Key: int


class Series:
    """A row of a table, as pandas.Series: names and values, but no mapping."""

    def keys(self) -> list[str]:
        return ["case_Key"]

    def __getitem__(self, name: str) -> Any:
        return Scalar(1)


@pytest.mark.parametrize("case", [{"case_Key": 1}, DataClass(1), Named(1), Model(case_Key=1), Series()])
def test_a_case_may_be_whatever_has_named_members(case: Any) -> None:
    assert encoded(case, 0) == b'{"case_Key":1}'


@pytest.mark.parametrize("other", [5, "case_Key", [("case_Key", 1)], Series, DataClass, Named])
def test_a_value_or_a_class_is_no_case(other: Any) -> None:
    with pytest.raises(BatchUnreadable, match="Case 0 "):
        encoded(other, 0)


def test_a_row_of_a_database_is_a_case() -> None:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    assert encoded(connection.execute("SELECT 1 AS case_Key").fetchone(), 0) == b'{"case_Key":1}'
    connection.close()
