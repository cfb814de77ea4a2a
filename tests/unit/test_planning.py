"""The plan of a chunk: what is certain before the database is asked, and what is written in which order."""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import NOW, a_batch, a_case, a_lease
from tests.items import an_object, base
from tests.oracle import Sender, judge, usable_key
from tests.unit.sameness import same

from carecase_worker.batches.chunking import Chunk
from carecase_worker.batches.line_numbers import lines_of_runs, runs_of_lines
from carecase_worker.batches.payloads import ChunkOutcomes, unpack_done
from carecase_worker.cases.outcomes import (
    CANCELLED,
    CREATED,
    NOT_APPLIED,
    OTHER_CARE_PLAN,
    REFUSED,
    SUPERSEDED,
    UNAVAILABLE,
    UPDATED,
    Kind,
    Outcome,
)
from carecase_worker.store.operations.claims import Lease
from carecase_worker.targets.plan import Wave, WritePlan, case_by_case
from carecase_worker.worker.attempts.planning import (
    plan_chunk,
    plan_item_by_item,
    plan_uniform_outcome,
    to_chunk_result,
)

TOO_LARGE = "item: must have at most 262144 bytes"
INVALID = Outcome(Kind.INVALID, "case_Status: must have at most 8 characters")
BAD = {"case_Status": "too long for it"}


def lease_of(seq: int = 1, care_plan: int | None = None, strict: bool = False) -> Lease:
    return a_lease(uuid4(), seq=seq, care_plan=care_plan, strict=strict, accepted_at=NOW)


def a_chunk(*cases: dict[str, Any], first: int = 0) -> Chunk:
    return Chunk(first, len(cases), a_batch(*cases))


def shape(plan: WritePlan) -> list[list[tuple[int, int]]]:
    """Key and place of each case, wave by wave."""
    return [list(zip(wave.keys, wave.places, strict=True)) for wave in plan.waves]


WAVES: list[tuple[list[int], list[list[tuple[int, int]]]]] = [
    ([3], [[(3, 0)]]),
    ([3, 1, 2], [[(1, 1), (2, 2), (3, 0)]]),
    ([1, 1], [[(1, 0)], [(1, 1)]]),
    ([2, 1, 2, 1, 2], [[(1, 1), (2, 0)], [(1, 3), (2, 2)], [(2, 4)]]),
    ([5, -5, 5, 0], [[(-5, 1), (0, 3), (5, 0)], [(5, 2)]]),
    ([7, 7, 7, 1], [[(1, 3), (7, 0)], [(7, 1)], [(7, 2)]]),
    ([7, 7, 7, 7], [[(7, 0)], [(7, 1)], [(7, 2)], [(7, 3)]]),
    ([7, 2, 7, 7, 7, 2, 7, 7, 2, 2, 2], [[(2, 1), (7, 0)], [(2, 5), (7, 2)], [(2, 8), (7, 3)],
                                         [(2, 9), (2, 10), (7, 4), (7, 6), (7, 7)]]),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "waves"), WAVES)
def test_a_key_that_comes_twice_goes_in_waves_each_in_the_order_of_keys(
    keys: list[int], waves: list[list[tuple[int, int]]]
) -> None:
    assert shape(plan_item_by_item(a_chunk(*map(a_case, keys)), lease_of())) == waves


def test_only_a_wave_in_which_a_key_comes_more_than_once_goes_in_turn() -> None:
    plan = plan_item_by_item(a_chunk(*map(a_case, [7] * 6 + [2, 3])), lease_of())
    assert [wave.in_turn for wave in plan.waves] == [False, False, False, True]
    apart = case_by_case(plan.waves, in_turn=False)
    assert [list(wave.places) for wave in apart] == [[6, 7, 0], [1], [2], [3], [4], [5]]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("care_plan", [5, None])
def test_valid_cases_of_distinct_keys_go_over_as_they_are(strict: bool, care_plan: int | None) -> None:
    chunk = a_chunk(a_case(3), a_case(1), a_case(2))
    plan = plan_chunk(chunk, lease_of(care_plan=care_plan, strict=strict))
    assert shape(plan) == [[(3, 0), (1, 1), (2, 2)]]
    assert json.loads(plan.waves[0].text()) == json.loads(chunk.items)
    assert [entry.place for entry in plan.waves[0].entries()] == [1, 2, 0], "in the order of keys"
    assert (plan.decided, plan.guard_care_plan, plan.all_or_nothing) == ([None] * 3, care_plan is not None, strict)


def test_a_whole_batch_with_an_item_that_breaks_a_rule_needs_no_database() -> None:
    plan = plan_chunk(a_chunk(a_case(1), a_case(2, **BAD), a_case(1)), lease_of(strict=True))
    assert (plan.decided, list(plan.waves)) == ([NOT_APPLIED, INVALID, NOT_APPLIED], [])
    whole = plan_chunk(a_chunk(a_case(1), a_case(1)), lease_of(strict=True))
    assert (whole.all_or_nothing, shape(whole)) == (True, [[(1, 0)], [(1, 1)]])


def test_killers_are_not_touched_and_keep_their_keys() -> None:
    chunk = a_chunk(a_case(1), a_case(2), a_case(3))
    plan = plan_item_by_item(chunk, lease_of(), poison_items={1})
    assert (plan.keys, plan.decided, shape(plan)) == ([1, 2, 3], [None, REFUSED, None], [[(1, 0), (3, 2)]])
    strict = plan_item_by_item(chunk, lease_of(strict=True), poison_items={1})
    assert (strict.decided, list(strict.waves)) == ([NOT_APPLIED, REFUSED, NOT_APPLIED], [])


def test_an_item_that_was_too_large_to_keep_is_answered_with_its_key() -> None:
    chunk = Chunk(0, 2, a_batch({"case_Key": 9}, a_case(1)), {0: TOO_LARGE})
    plan = plan_chunk(chunk, lease_of())
    assert (plan.keys, plan.decided) == ([9, 1], [Outcome(Kind.INVALID, TOO_LARGE), None])


@pytest.mark.parametrize("outcome", [CANCELLED, UNAVAILABLE, REFUSED])
def test_a_tombstone_answers_every_item_alike_and_writes_nothing(outcome: Outcome) -> None:
    plan = plan_uniform_outcome(a_chunk(a_case(2), a_case(1), {}), outcome)
    assert (plan.keys, plan.decided, list(plan.waves)) == ([2, 1, None], [outcome] * 3, [])


OTHERS = (
    "null", "[]", "{}", '{"case_Key": 2}', an_object(base(case_Key='"1"')), an_object(base(case_Key="2147483648")),
    an_object(base(case_Status='"too long for it"')), an_object(base(carePlan_Key="6")),
    an_object(base(entry_User='"ann"', update_User="null", entry_Date='"2026-01-01"', update_Date='"2026-01-02"')),
    an_object(base(case_Key="-2147483648", case_Score="1e400")), an_object(base(case_Key="2147483647", case_ID='"é"')),
)  # fmt: skip
ITEMS = st.lists(
    st.integers(1, 4).map(lambda key: an_object(base(case_Key=str(key)))) | st.sampled_from(OTHERS),
    min_size=1,
    max_size=8,
)


def check(
    chunk: Chunk, plan: WritePlan, items: Sequence[str], lease: Lease, poison_items: Collection[int] = ()
) -> None:
    """Hold a plan to the oracle: each item is decided, or in one wave as it must be stored."""
    sender = Sender(lease.care_plan, lease.user, lease.accepted_at)
    rows = {place: row for place, item in enumerate(items) if isinstance(row := judge(item, sender), dict)}
    rows = {place: row for place, row in rows.items() if place not in poison_items}
    assert plan.keys == [usable_key(item) for item in items]
    assert plan.guard_care_plan == (lease.care_plan is not None)
    if lease.strict and len(rows) < len(items):
        assert [decided is NOT_APPLIED for decided in plan.decided] == [place in rows for place in range(len(items))]
        assert not plan.waves
        return
    assert plan.all_or_nothing == lease.strict
    assert [decided is None for decided in plan.decided] == [place in rows for place in range(len(items))]
    written = [entry for wave in case_by_case(plan.waves) for entry in wave.entries()]
    assert sorted(entry.place for entry in written) == sorted(rows)
    for entry in written:
        version = (lease.seq << 20) + chunk.first + entry.place
        want = {**rows[entry.place], "ingest_version": version, "entry_version": version}
        assert same(entry.row, want), (entry.row, want)
    for wave in plan.waves:
        assert len(set(wave.keys)) == len(wave.keys), "a statement writes no case twice"
        assert list(wave.versions) == [(lease.seq << 20) + chunk.first + place for place in wave.places]
        assert list(wave.keys) == [rows[place]["case_Key"] for place in wave.places]
    check_order(plan.waves, rows)


def check_order(waves: Sequence[Wave], rows: dict[int, Any]) -> None:
    """No two transactions wait for each other, and of two items with one key the later one is written later."""
    for wave in case_by_case(waves):
        assert list(wave.keys) == sorted(wave.keys)
    for key in {row["case_Key"] for row in rows.values()}:
        places = [place for wave in waves for one, place in zip(wave.keys, wave.places, strict=True) if one == key]
        assert places == sorted(places)


@settings(max_examples=200, deadline=None)
@given(ITEMS, st.data())
def test_every_plan_is_what_the_oracle_says(items: list[str], data: st.DataObject) -> None:
    lease = lease_of(
        seq=data.draw(st.sampled_from([1, 1_800_000_000_000])),
        care_plan=data.draw(st.sampled_from([None, 5])),
        strict=data.draw(st.booleans()),
    )
    poison_items = data.draw(st.sets(st.integers(0, len(items) - 1), max_size=2))
    chunk = Chunk(data.draw(st.sampled_from([0, 999_000])), len(items), f"[{','.join(items)}]".encode())
    check(chunk, plan_chunk(chunk, lease), items, lease)
    check(chunk, plan_item_by_item(chunk, lease), items, lease)
    check(chunk, plan_item_by_item(chunk, lease, poison_items), items, lease, poison_items)


SETTLED = [
    ([CREATED], {"created": 1}, False),
    ([CREATED, UPDATED, UPDATED, SUPERSEDED, CREATED], {"created": 2, "updated": 2, "superseded": 1}, False),
    ([INVALID, OTHER_CARE_PLAN, NOT_APPLIED], {"failed": 3}, False),
    ([CANCELLED, CANCELLED], {"cancelled": 2}, True),
    ([CREATED, REFUSED, CREATED], {"created": 2, "failed": 1}, True),
    ([UNAVAILABLE, INVALID], {"failed": 2}, True),
]


@pytest.mark.parametrize(("outcomes", "counts", "retryable"), SETTLED)
@pytest.mark.parametrize("answered", [True, False])
def test_outcomes_are_counted_and_kept_in_order(
    outcomes: list[Outcome], counts: dict[str, int], retryable: bool, answered: bool
) -> None:
    keys = [*range(len(outcomes) - 1), None]
    plan = WritePlan(keys, [None] * len(outcomes), waves=(), guard_care_plan=False)
    done = to_chunk_result(plan, outcomes, answered)
    none = dict.fromkeys(("created", "updated", "superseded", "failed", "cancelled"), 0)
    assert done.counts == none | counts
    assert (done.retryable, done.database_answered) == (retryable, answered)
    assert unpack_done(done.packed) == ChunkOutcomes(keys, outcomes)
    assert to_chunk_result(plan, outcomes).database_answered


@pytest.mark.parametrize(("attempts", "slowly"), [(0, False), (1, True), (2, False), (3, True), (10, False)])
def test_every_second_attempt_looks_for_cases_that_are_too_slow(attempts: int, slowly: bool) -> None:
    assert WritePlan([], [], waves=(), guard_care_plan=False, attempts=attempts).slowly == slowly


def planned_in_any_way(chunk: Chunk) -> list[WritePlan]:
    return [plan_chunk(chunk, lease_of()), plan_item_by_item(chunk, lease_of()), plan_uniform_outcome(chunk, CANCELLED)]


@pytest.mark.parametrize("last", [{}, BAD], ids=["all are valid", "one is not"])
def test_each_outcome_has_the_line_of_its_row(last: dict[str, Any]) -> None:
    chunk = replace(a_chunk(a_case(1), a_case(2, **last)), lines=runs_of_lines([3, 7]))
    for plan in planned_in_any_way(chunk):
        done = unpack_done(to_chunk_result(plan, [CREATED, INVALID]).packed)
        assert [*lines_of_runs(done.lines, 2)] == [3, 7]
