"""The rules for one item, from the contract: strict types, bounds, dates, required and null, audit fields."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW, a_batch, a_case

from carecase_worker.cases.care_case import FIELDS, CaseField, FieldType
from carecase_worker.cases.outcomes import Kind, Outcome
from carecase_worker.cases.validation import Row, Rules, keys_of, read_valid, validate

RULES = Rules(care_plan=None, user="sender", moment=NOW)
INT32 = 2**31


def judged(*cases: Any, rules: Rules = RULES) -> list[Row | Outcome]:
    return validate(a_batch(*cases), rules)


def row_of(**fields: Any) -> Row:
    (row,) = judged(a_case(**fields))
    assert isinstance(row, dict), row
    return row


def faults_of(**fields: Any) -> str:
    (outcome,) = judged(a_case(**fields))
    assert isinstance(outcome, Outcome)
    assert outcome.kind is Kind.INVALID
    return outcome.body


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("case_Key", "5", "case_Key: must be an integer"),
        ("case_Key", 5.0, "case_Key: must be an integer"),
        ("case_Key", True, "case_Key: must be an integer"),
        ("case_Key", None, "case_Key: must not be null"),
        ("case_Key", INT32, f"case_Key: must be between {-INT32} and {INT32 - 1}"),
        ("case_Priority", -INT32 - 1, f"case_Priority: must be between {-INT32} and {INT32 - 1}"),
        ("do_Not_Contact", 1, "do_Not_Contact: must be true or false"),
        ("do_Not_Contact", "true", "do_Not_Contact: must be true or false"),
        ("case_Score", "1.5", "case_Score: must be a number"),
        ("case_ID", 17, "case_ID: must be a string"),
        ("case_ID", "a\0b", "case_ID: must not contain U+0000 or a lone surrogate"),
        ("case_Status", "123456789", "case_Status: must have at most 8 characters"),
        ("entry_Date", None, "entry_Date: must not be null"),
        ("update_Date", None, "update_Date: must not be null"),
    ],
)
def test_a_broken_rule_names_field_and_rule(field: str, value: Any, rule: str) -> None:
    assert faults_of(**{field: value}) == rule


@pytest.mark.parametrize("field", ["case_Key", "carePlan_Key", "do_Not_Contact"])
def test_a_required_field_must_be_there(field: str) -> None:
    case = a_case()
    del case[field]
    (outcome,) = judged(case)
    assert outcome == Outcome(Kind.INVALID, f"{field}: is required")


@pytest.mark.parametrize("item", [17, "case", None, [], True])
def test_an_item_must_be_an_object(item: Any) -> None:
    assert judged(item) == [Outcome(Kind.INVALID, "item: must be an object")]


def test_every_fault_of_an_item_is_named() -> None:
    assert faults_of(case_Status="123456789", case_Priority="high") == (
        "case_Priority: must be an integer; case_Status: must have at most 8 characters"
    )


def test_one_bad_item_leaves_the_others_alone() -> None:
    cases = [a_case(key) for key in range(1000)]
    cases[617]["case_Status"] = "123456789"
    result = judged(*cases)
    assert [place for place, one in enumerate(result) if isinstance(one, Outcome)] == [617]


@pytest.mark.parametrize("text", [b"1e999", b"-1e999"])
def test_a_score_must_be_finite(text: bytes) -> None:
    body = a_batch(a_case(case_Score=0.25)).replace(b"0.25", text)
    assert validate(body, RULES) == [Outcome(Kind.INVALID, "case_Score: must be a finite number")]


def test_a_whole_number_is_a_score() -> None:
    assert row_of(case_Score=3)["case_Score"] == 3.0


def test_a_member_that_is_no_field_is_ignored_whatever_it_holds() -> None:
    assert "shoe_Size" not in row_of(shoe_Size={"left": [44]})


def test_what_is_too_much_for_the_parser_is_judged_by_the_same_rules() -> None:
    deep, long = b"[" * 500 + b"]" * 500, b"1" * 5000
    for field, value, rule in (
        (b"x", deep, None),
        (b"x", long, None),
        (b"case_ID", deep, "case_ID: must be a string"),
        (b"case_Priority", long, f"case_Priority: must be between {-INT32} and {INT32 - 1}"),
        (b"case_Score", long, "case_Score: must be a finite number"),
    ):
        item = b'{"case_Key":1,"carePlan_Key":5,"do_Not_Contact":true,"' + field + b'":' + value + b"}"
        one, other = validate(b"[" + item + b"," + a_batch(a_case(2))[1:], RULES)
        assert isinstance(other, dict)
        assert isinstance(one, dict) if rule is None else one == Outcome(Kind.INVALID, rule)


@pytest.mark.parametrize(
    "item", [b'{"case_Key": 1, "case_ID": "\xff"}', b'{"case_Key": 1, "\xff": 1}', b'{"case_Key": "1", "\xff": 1}']
)
def test_an_item_that_is_no_json_is_its_own_fault(item: bytes) -> None:
    one, other = validate(b"[" + item + b", " + a_batch(a_case(2))[1:], RULES)
    assert one == Outcome(Kind.INVALID, "item: must be JSON")
    assert isinstance(other, dict)


def test_faults_of_every_kind_are_told_together() -> None:
    rules = Rules(care_plan=6, user="sender", moment=NOW)
    bad = a_case(case_Priority="high", case_Start_Date="2026-02-30", case_ID="\0")
    (outcome,) = judged(bad, rules=rules)
    assert isinstance(outcome, Outcome)
    assert outcome.body == (
        "case_Priority: must be an integer"
        "; case_Start_Date: must be an ISO 8601 date-time between the years 1 and 9999"
        "; case_ID: must not contain U+0000 or a lone surrogate"
        "; carePlan_Key: must equal the care plan of the path"
    )


def test_lengths_count_characters_not_bytes() -> None:
    assert row_of(case_Status="😀" * 8)["case_Status"] == "😀" * 8
    assert faults_of(case_Status="😀" * 9) == "case_Status: must have at most 8 characters"


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
def test_a_date_time_becomes_a_moment_in_utc(text: str, moment: datetime) -> None:
    held = row_of(case_Start_Date=text)["case_Start_Date"]
    assert held == moment
    assert held.utcoffset() == timedelta(0)


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
    sound = read_valid(items, RULES)
    assert sound is None or sound.rows(RULES)[0]["case_Start_Date"] == want


def test_ticks_of_a_hundred_nanoseconds_are_read_the_fast_way() -> None:
    assert read_valid(a_batch(a_case(case_End_Date="2026-02-28T22:59:59.1234567Z", case_Score=0.12345678)), RULES)


def test_a_text_that_looks_like_a_moment_is_kept_as_it_is() -> None:
    text = '"case_End_Date":"2026-02-28T22:59:59.1234567Z"'
    items = a_batch(a_case(eligibility_Verified_Comment=text, case_ID="2026-02-28T22:59:59.1234567Z"))
    sound = read_valid(items, RULES)
    assert sound is not None
    for row in (*validate(items, RULES), *sound.rows(RULES)):
        assert isinstance(row, dict)
        assert (row["eligibility_Verified_Comment"], row["case_ID"]) == (text, "2026-02-28T22:59:59.1234567Z")


@pytest.mark.parametrize("escape", [rb"case_\u0045nd_Date", rb"case\u005FEnd_Date", rb"\u0063ase_End_Date"])
def test_a_field_is_cut_however_its_name_is_spelt(escape: bytes) -> None:
    items = a_batch(a_case(case_End_Date="2026-02-28T22:59:59.1234567Z")).replace(b"case_End_Date", escape)
    (row,) = validate(items, RULES)
    assert isinstance(row, dict)
    assert row["case_End_Date"].microsecond == 123_456
    assert read_valid(items, RULES) is None


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
def test_any_moment_survives_in_utc(moment: datetime) -> None:
    assert row_of(case_Start_Date=moment.isoformat())["case_Start_Date"] == moment


def test_a_field_left_out_is_null() -> None:
    row = row_of()
    assert all(row[field.name] is None for field in FIELDS if field.nullable and "_User" not in field.name)


def test_audit_fields_are_filled_in_where_they_are_left_out() -> None:
    row = row_of()
    assert (row["entry_Date"], row["entry_User"]) == (NOW, "sender")
    assert (row["update_Date"], row["update_User"]) == (NOW, "sender")
    given_ = row_of(entry_User="importer", update_Date="2020-01-01T00:00:00Z")
    assert given_["entry_User"] == "importer"
    assert row_of(update_User="")["update_User"] == "", "as given"
    assert given_["update_Date"] == datetime(2020, 1, 1, tzinfo=UTC)


def test_the_care_plan_of_the_path_is_the_items() -> None:
    rules = Rules(care_plan=5, user="sender", moment=NOW)
    good, bad = judged(a_case(1), a_case(2, carePlan_Key=6), rules=rules)
    assert isinstance(good, dict)
    assert bad == Outcome(Kind.INVALID, "carePlan_Key: must equal the care plan of the path")


def test_the_key_of_a_bad_item_is_told_if_it_has_a_usable_one() -> None:
    items = a_batch(a_case(7, case_Status=1), {"case_Key": "7"}, {"case_Key": INT32}, 17, {}, {"case_Key": -3})
    assert keys_of(items) == [7, None, None, None, None, -3]


def test_of_a_member_that_comes_twice_the_last_one_counts() -> None:
    items = a_batch(a_case(77)).replace(b"{", b'{"case_Key": "x", ')
    (row,) = validate(items, RULES)
    assert isinstance(row, dict)
    assert keys_of(items) == [row["case_Key"]] == [77]


SECRET = "Zanzibar"


@given(st.sampled_from([f for f in FIELDS if f.type is not FieldType.STRING]), st.booleans())
def test_no_outcome_tells_a_value(field: CaseField, also_status: bool) -> None:
    fields: dict[str, Any] = {field.name: SECRET}
    if also_status:
        fields["case_Status"] = SECRET * 3
    assert SECRET not in faults_of(**fields)


def _valid_values(field: CaseField) -> st.SearchStrategy[Any]:
    match field.type:
        case FieldType.INT32:
            values: st.SearchStrategy[Any] = st.integers(-INT32, INT32 - 1)
        case FieldType.DOUBLE:
            values = st.floats(allow_nan=False, allow_infinity=False)
        case FieldType.BOOLEAN:
            values = st.booleans()
        case FieldType.DATE_TIME:
            values = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))
        case FieldType.STRING:
            text = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
            values = st.text(text, max_size=field.max_length)
    return values | st.none() if field.nullable else values


@given(st.fixed_dictionaries({field.name: _valid_values(field) for field in FIELDS}))
def test_every_valid_case_comes_through_as_it_is(case: dict[str, Any]) -> None:
    sent = json.loads(json.dumps(case, default=datetime.isoformat))
    (row,) = judged(sent)
    assert isinstance(row, dict), row
    audit = {"entry_User", "update_User"}
    assert {k: v for k, v in row.items() if k not in audit} == {k: v for k, v in case.items() if k not in audit}
