"""The keys of a batch's cases: none is missed that could be written."""

import json
from array import array
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_case
from tests.steps import steps_each

from carecase_worker.batches.key_sets import KeySet, written_keys
from carecase_worker.cases.care_case import INT32_MAX, INT32_MIN
from carecase_worker.cases.outcomes import Outcome
from carecase_worker.cases.validation import Rules, validate
from carecase_worker.errors import BatchFault, BatchRefused, PayloadUnreadable

RULES = Rules(None, "sender", datetime(2026, 1, 1, tzinfo=UTC))
KEYS = st.integers(INT32_MIN, INT32_MAX)
ODD_KEYS = st.sampled_from(["7.0", "1e2", "-0", '"7"', "null", "2147483648", "-2147483649", "true", "[7]", "7"])


@st.composite
def items(draw: st.DrawFn) -> str:
    """A case, or nearly one: a key that comes twice or is none, another case within, a name that is escaped."""
    case = json.dumps(a_case(draw(KEYS), case_Notes=draw(st.text(max_size=5))))
    before = draw(st.sampled_from(["", f'"case_Key":{draw(ODD_KEYS)},', f'"x":{json.dumps(a_case(draw(KEYS)))},']))
    after = draw(st.sampled_from(["", f',"case_Key":{draw(KEYS)}', f',"case_\\u004bey":{draw(KEYS)}']))
    return draw(
        st.sampled_from([f"{{{before}{case[1:-1]}{after}}}", "7", "null", "{}", f'{{"case_Key":{draw(ODD_KEYS)}}}'])
    )


@given(st.lists(items(), max_size=4))
def test_every_key_that_may_be_written_is_in_the_set(texts: list[str]) -> None:
    body = f"[{','.join(texts)}]".encode()
    valid = [row for row in validate(body, RULES) if not isinstance(row, Outcome)]
    assert {row["case_Key"] % 2**32 for row in valid} <= set(written_keys(body))


def test_a_key_that_comes_twice_is_the_last_one() -> None:
    assert list(written_keys(b'[{"case_Key": 1, "case_Key": -2}]')) == [2**32 - 2]


def test_items_without_a_key_add_nothing_to_the_set() -> None:
    assert list(written_keys(b'[{"case_Key": "1"}, {}, {"case_Key": 5}]')) == [5]


def test_the_key_of_the_shortest_item_is_in_the_set() -> None:
    assert list(written_keys(b'[{"case_Key":0},{},1]')) == [0]


@pytest.mark.parametrize("item", [b"1", b"{}", b'""', b"[]", b"null", b'{"a":1}'])
def test_items_without_a_key_cost_no_more_than_their_bytes(item: bytes) -> None:
    body = b"[" + b",".join([item] * 100_000) + b"]"
    assert steps_each(lambda: written_keys(body), len(body), 10) < 10  # it takes 3, and one that is tried 25


def a_set(*keys: Any) -> KeySet:
    return KeySet(written_keys(json.dumps([{"case_Key": key} for key in keys]).encode()))


@given(st.sets(KEYS), st.sets(KEYS))
def test_sets_meet_where_they_share_a_key_also_packed(one: set[int], other: set[int]) -> None:
    sets = [a_set(*keys) for keys in (one, other)]
    packed = [KeySet.unpacked(keys.packed()) for keys in sets]
    assert sets[0].meets(sets[1]) == packed[0].meets(packed[1]) == bool(one & other)
    assert len(packed[0]) == len(one)
    assert KeySet.union(sets).packed() == a_set(*one, *other).packed()


def test_a_set_of_neighbouring_keys_is_small_when_packed() -> None:
    """It stays in Redis while its job is open."""
    keys = KeySet.union(KeySet(array("I", range(start, 1_000_000, 100))) for start in range(100))
    assert len(keys.packed()) < 1_000


@pytest.mark.parametrize(("step", "least", "most"), [(1, 0, 1), (10_000, 10, 30), (100_000, 60, 70)])
def test_the_memory_of_a_set_is_by_how_scattered_its_keys_are(step: int, least: float, most: float) -> None:
    keys = KeySet.unpacked(a_set(*range(0, 10_000 * step, step)).packed())
    assert least < keys.memory_bytes / len(keys) < most


@pytest.mark.parametrize("damaged", [b"", b"abc", a_set(*range(1000)).packed()[:-1]])
def test_a_key_set_that_is_damaged_is_refused_as_that(damaged: bytes) -> None:
    with pytest.raises(PayloadUnreadable, match="damaged"):
        KeySet.unpacked(damaged)


@pytest.mark.parametrize("key", [b"1", b"null"])
def test_the_keys_of_items_that_are_nested_too_deeply_refuse_the_batch(key: bytes) -> None:
    deep = b'[{"case_Key":%b,"x":%b}]' % (key, b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(BatchRefused, match="nested too deeply") as refused:
        written_keys(deep)
    assert refused.value.fault is BatchFault.NOT_JSON
