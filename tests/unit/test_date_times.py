"""A date-time in any form of the contract becomes a time in UTC; anything else is refused."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_batch, a_case
from tests.unit.judging import RULES, faults_of, row_of

from carecase_worker.cases.validation import read_valid, validate


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-28T23:59:59Z", datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)),
        ("2026-02-28T23:59:59", datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)),
        ("2026-02-28T23:59:59+02:00", datetime(2026, 2, 28, 21, 59, 59, tzinfo=UTC)),
        ("2026-02-28T23:59:59-0330", datetime(2026, 3, 1, 3, 29, 59, tzinfo=UTC)),
        ("2026-02-28t23:59:59.5z", datetime(2026, 2, 28, 23, 59, 59, 500_000, tzinfo=UTC)),
        ("2026-02-28T23:59:59.1234567Z", datetime(2026, 2, 28, 23, 59, 59, 123_456, tzinfo=UTC)),
        ("2026-02-28", datetime(2026, 2, 28, tzinfo=UTC)),
        ("2026-02-28T24:00Z", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.5Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("1998-12-31T15:59:60-08:00", datetime(1999, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_date_time_becomes_a_time_in_utc(text: str, moment: datetime) -> None:
    value = row_of(case_Start_Date=text)["case_Start_Date"]
    assert value == moment
    assert value.utcoffset() == timedelta(0)


def written_by_clients() -> list[tuple[str, str]]:
    """What clients write and what it means, from the table that users read."""
    table = (Path(__file__).parents[2] / "docs" / "date-times.md").read_text()
    return re.findall(r"^\| .* \| `(.+)` \| `(.+)` \|$", table, re.MULTILINE)


def test_the_table_of_what_clients_write_was_found() -> None:
    assert len(written_by_clients()) == 39


@pytest.mark.parametrize(("written", "stored"), written_by_clients())
@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "plus as an escape"])
def test_what_a_client_writes_by_default_is_taken_exactly(written: str, stored: str, escaped: bool) -> None:
    """By the fast way of reading and by the other; System.Text.Json escapes the plus of what is text to it."""
    want = datetime.fromisoformat(f"{stored}+00:00")
    items = a_batch(a_case(case_Start_Date=written))
    if escaped:
        items = items.replace(b"+", b"\\u002B")
    (row,) = validate(items, RULES)
    assert isinstance(row, dict)
    assert row["case_Start_Date"] == want
    valid = read_valid(items, RULES)
    assert valid is None or valid.rows(RULES)[0]["case_Start_Date"] == want


def test_ticks_of_a_hundred_nanoseconds_are_read_the_fast_way() -> None:
    assert read_valid(a_batch(a_case(case_End_Date="2026-02-28T22:59:59.1234567Z", case_Score=0.12345678)), RULES)


def test_a_text_that_looks_like_a_date_time_is_kept_as_it_is() -> None:
    text = '"case_End_Date":"2026-02-28T22:59:59.1234567Z"'
    items = a_batch(a_case(eligibility_Verified_Comment=text, case_ID="2026-02-28T22:59:59.1234567Z"))
    valid = read_valid(items, RULES)
    assert valid is not None
    for row in (*validate(items, RULES), *valid.rows(RULES)):
        assert isinstance(row, dict)
        assert (row["eligibility_Verified_Comment"], row["case_ID"]) == (text, "2026-02-28T22:59:59.1234567Z")


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "1735689600", "2026-13-01T00:00:00Z", "2026-02-30", "2026-02-28T25:00:00Z", "20260228",
        "2026-W09-6", "/Date(1772319599000)/", "2026-02-28T23:59:59 CET",
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
        "2026-02-28T23:59:59+99:00", "2026-02-28T23:59:59+05:75", "2026-06-30T12:00:60Z",
        " 2026-02-28", "2026-02-28\n", "٢٠٢٦-02-28", 1735689600,
    ],
)  # fmt: skip
def test_anything_else_is_no_date_time(text: Any) -> None:
    assert faults_of(case_Start_Date=text) == (
        "case_Start_Date: must be an ISO 8601 date-time between the years 1 and 9999"
    )


ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES))
def test_any_time_survives_in_utc(moment: datetime) -> None:
    assert row_of(case_Start_Date=moment.isoformat())["case_Start_Date"] == moment


@pytest.mark.parametrize("separator", ["T", "t", " "])
def test_a_fraction_is_cut_and_not_rounded_up_to_the_next_year(separator: str) -> None:
    """As SQL Server writes the end of a day."""
    cases = read_valid(a_batch(a_case(case_End_Date=f"2026-12-31{separator}23:59:59.9999999Z")), RULES)
    assert cases is not None
    assert cases.rows(RULES)[0]["case_End_Date"] == datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
