"""The rules for one item, from the contract: strict types, bounds, required and null; every fault is named."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW, a_batch, a_case
from tests.unit.judging import RULES, faults_of, judged, row_of

from carecase_worker.cases.care_case import FIELDS, CaseField, FieldType
from carecase_worker.cases.outcomes import Kind, Outcome
from carecase_worker.cases.validation import Rules, keys_of, read_valid, validate

INT32 = 2**31


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


def test_an_item_that_is_nested_too_deeply_to_be_read_with_all_others_is_looked_at_by_itself() -> None:
    deep = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert read_valid(b"[" + deep + b"]", RULES) is None


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


def test_faults_of_every_kind_are_reported_together() -> None:
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


@pytest.mark.parametrize("escape", [rb"case_\u0045nd_Date", rb"case\u005FEnd_Date", rb"\u0063ase_End_Date"])
def test_a_field_is_cut_however_its_name_is_spelt(escape: bytes) -> None:
    items = a_batch(a_case(case_End_Date="2026-02-28T22:59:59.1234567Z")).replace(b"case_End_Date", escape)
    (row,) = validate(items, RULES)
    assert isinstance(row, dict)
    assert row["case_End_Date"].microsecond == 123_456
    assert read_valid(items, RULES) is None


def test_a_field_left_out_is_null() -> None:
    row = row_of()
    assert all(row[field.name] is None for field in FIELDS if field.nullable and "_User" not in field.name)


def test_the_key_of_a_bad_item_is_returned_if_it_has_a_usable_one() -> None:
    items = a_batch(a_case(7, case_Status=1), {"case_Key": "7"}, {"case_Key": INT32}, 17, {}, {"case_Key": -3})
    assert keys_of(items) == [7, None, None, None, None, -3]


def test_of_a_member_that_comes_twice_the_last_one_counts() -> None:
    items = a_batch(a_case(77)).replace(b"{", b'{"case_Key": "x", ')
    (row,) = validate(items, RULES)
    assert isinstance(row, dict)
    assert keys_of(items) == [row["case_Key"]] == [77]


SECRET = "Zanzibar"


@given(st.sampled_from([f for f in FIELDS if f.type is not FieldType.STRING]), st.booleans())
def test_no_outcome_shows_a_value(field: CaseField, also_status: bool) -> None:
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
