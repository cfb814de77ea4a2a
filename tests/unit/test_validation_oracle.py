"""The rules for items, compared with an oracle that knows the contract only; from the body, as the intake cuts it."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import NOW, chunks_of
from tests.items import (
    DEEP,
    FIELDS,
    REQUIRED,
    UNKNOWN,
    VALUES,
    an_object,
    any_items,
    around_the_bound,
    base,
    good_items,
)
from tests.oracle import Fault, Sender, judge, usable_key
from tests.unit.sameness import same

from carecase_worker.batches.chunking import ChunkLimits
from carecase_worker.batches.lines import LineSplitter
from carecase_worker.batches.splitting import ArraySplitter
from carecase_worker.cases.outcomes import Kind, Outcome
from carecase_worker.cases.validation import Rules, invalid, keys_of, read_valid, validate
from carecase_worker.errors import BatchRefused

ANY_PLAN = Sender(None, "sender", NOW)
PLAN_5 = Sender(5, "sender", NOW)
BOUNDS = ChunkLimits(items=1000, size=1 << 22, item_size=1 << 20)

RULES = {
    "must be an object": "object",
    "is required": "required",
    "must not be null": "null",
    "must be an integer": "integer",
    "must be between -2147483648 and 2147483647": "int32",
    "must be a number": "number",
    "must be a finite number": "finite",
    "must be true or false": "boolean",
    "must be a string": "string",
    "must be an ISO 8601 date-time between the years 1 and 9999": "date-time",
    "must not contain U+0000 or a lone surrogate": "U+0000",
    "must equal the care plan of the path": "care plan",
}


def verdicts(body: bytes, sender: Sender = ANY_PLAN, lines: bool = False) -> list[Any]:
    """What becomes of each item of a body: its row or its faults, and the key that its answer names."""
    rules = Rules(sender.care_plan, sender.user, sender.moment)
    found: list[Any] = []
    for chunk in chunks_of(body, BOUNDS, LineSplitter() if lines else ArraySplitter()):
        judged = validate(chunk.items, rules)
        valid = read_valid(chunk.items, rules)
        if valid is not None:  # the whole chunk was read at a glance: it must be what its items are one by one
            assert same_rows(valid.rows(rules), judged)
            assert valid.keys == keys_of(chunk.items)
        for place, fault in chunk.refused.items():
            judged[place] = invalid(fault)
        found += zip((_plain(one) for one in judged), keys_of(chunk.items), strict=True)
    return found


def same_rows(got: Sequence[Any], want: Sequence[Any]) -> bool:
    return len(got) == len(want) and all(map(same, got, want))


def _plain(judged: Any) -> Any:
    if not isinstance(judged, Outcome):
        return judged
    assert judged.kind is Kind.INVALID
    faults = [fault.partition(": ") for fault in judged.body.split("; ")]
    told: list[Fault] = [(field, RULES.get(rule, rule.removeprefix("must have "))) for field, _, rule in faults]
    assert len(set(told)) == len(told), "each fault is told once"
    return frozenset(told)


def check(items: Sequence[str], sender: Sender = ANY_PLAN) -> None:
    """Hold a batch to the oracle."""
    body = f"[{', '.join(items)}]".encode()
    for item, (got, key) in zip(items, verdicts(body, sender), strict=True):
        want = judge(item, sender)
        assert same(got, want), f"{item[:300]}\n got {got}\nwant {want}"
        assert key == usable_key(item), item[:300]


@pytest.mark.parametrize("field", FIELDS)
def test_every_telling_value_of_every_field(field: str) -> None:
    items = [an_object(base(**{field: value})) for value in (*VALUES, *around_the_bound(field))]
    check(items)
    for item in items:
        check([item], PLAN_5)


@pytest.mark.parametrize("field", FIELDS)
def test_every_value_of_a_field_beside_another_fault(field: str) -> None:
    other = "case_Score" if field == "case_Status" else "case_Status"
    check([an_object(base(**{other: "[]", field: value})) for value in (*VALUES, *around_the_bound(field))], PLAN_5)


@pytest.mark.parametrize("value", DEEP)
def test_nesting(value: str) -> None:
    check([value])
    check([an_object(base(x=value)), *["1"] * 30, an_object(base())])
    check([an_object([("x", value), *base(x="1")])])
    check([an_object(base(case_ID=value))] * 2)


@pytest.mark.parametrize("field", FIELDS)
def test_of_doubled_members_the_last_one_counts(field: str) -> None:
    values = ("null", "1", '"1"', "true", '"2026-01-01"', "[]", f"{'1' * 5000}", r'"\u0000"', '"2026-02-30"')
    check([an_object([*base(), (field, first), (field, second)]) for first in values for second in values])


@pytest.mark.parametrize("left_out", [(), *((field,) for field in FIELDS), REQUIRED])
def test_members_that_are_left_out(left_out: tuple[str, ...]) -> None:
    full = dict.fromkeys(FIELDS, "null") | dict(base())
    check([an_object([one for one in full.items() if one[0] not in left_out])])
    check([an_object([one for one in base() if one[0] not in left_out])])


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_members_are_ignored(name: str) -> None:
    check([an_object([*base(), (name, value)]) for value in VALUES])


def test_items_that_are_no_objects() -> None:
    check(VALUES)


@settings(max_examples=150)
@given(st.lists(any_items, min_size=1, max_size=6), st.sampled_from((ANY_PLAN, PLAN_5)))
def test_any_batch(items: list[str], sender: Sender) -> None:
    check(items, sender)


@settings(max_examples=60)
@given(st.lists(good_items, min_size=1, max_size=6))
def test_a_batch_of_good_items(items: list[str]) -> None:
    check(items)


@settings(max_examples=50)
@given(st.lists(any_items.map(lambda item: item.replace("\n", " ").replace("\r", " ")), min_size=2, max_size=4))
def test_lines_are_judged_as_an_array_is(items: list[str]) -> None:
    """Two lines at least: an only one that is no case at all is taken for a mistake about the form of the body."""
    assert verdicts("\n".join(items).encode(), lines=True) == verdicts(f"[{','.join(items)}]".encode())


SPOILT = st.sampled_from(
    [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf6", b"\0", b'"', b"\\", b"{", b"]", b"\n", b"1" * 5000, b""]
)
SMALL = ChunkLimits(items=2, size=1 << 22, item_size=60)


@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(good_items | any_items, min_size=1, max_size=3),
    places=st.lists(st.floats(0, 1), min_size=1, max_size=2),
    spoilt=SPOILT,
    lines=st.booleans(),
)
def test_a_spoilt_body_is_refused_or_its_items_are_judged(
    items: list[str], places: list[float], spoilt: bytes, lines: bool
) -> None:
    """Some bytes of it are others: whatever it is then, nothing else comes of it, in small chunks and in large ones."""
    body = "\n".join(items).encode() if lines else f"[{','.join(items)}]".encode()
    for place in places:
        cut = int(place * len(body))
        body = body[:cut] + spoilt + body[cut + 1 :]
    for bounds in (BOUNDS, SMALL):
        try:
            chunks = chunks_of(body, bounds, LineSplitter() if lines else ArraySplitter())
        except BatchRefused:
            continue
        for chunk in chunks:
            judged = validate(chunk.items, Rules(None, "sender", NOW), chunk.refused)
            assert len(judged) == len(keys_of(chunk.items)) == chunk.count


@pytest.mark.parametrize(
    "word", ["NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "'a'", '"\t"', '"\0"', r'"\x"']
)
def test_what_is_no_json_is_no_batch(word: str) -> None:
    for item in (word, an_object(base(x=word)), an_object(base(case_Score=word))):
        with pytest.raises(BatchRefused):
            verdicts(f"[{an_object(base())}, {item}]".encode())
