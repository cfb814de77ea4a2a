"""Outcomes of items: what the contract says of each kind, and the form in which they are kept."""

from itertools import groupby

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.cases.outcomes import (
    CANCELLED,
    CREATED,
    FIXED,
    NOT_APPLIED,
    OTHER_CARE_PLAN,
    REFUSED,
    SUPERSEDED,
    UNAVAILABLE,
    UNCHANGED,
    UNTRUSTED,
    UPDATED,
    VALID,
    WOULD_CREATE,
    Kind,
    Outcome,
    none_applied,
    pack_outcomes,
    unpack_outcomes,
    would_update,
)

TABLE = {
    # kind: its number in Redis and in ledgers, status, the job's count, whether `retry` sends it again
    Kind.CREATED: (1, 201, "created", False),
    Kind.UPDATED: (2, 200, "updated", False),
    Kind.SUPERSEDED: (3, 200, "superseded", False),
    Kind.INVALID: (4, 422, "failed", False),
    Kind.CONFLICT: (5, 409, "failed", False),
    Kind.CANCELLED: (6, 409, "cancelled", True),
    Kind.REFUSED: (7, 500, "failed", True),
    Kind.UNAVAILABLE: (8, 503, "failed", True),
    Kind.NOT_APPLIED: (9, 424, "failed", False),
    Kind.VALID: (10, 200, "valid", False),
    Kind.UNTRUSTED: (11, 500, "failed", True),
    Kind.WOULD_CREATE: (12, 201, "created", False),
    Kind.WOULD_UPDATE: (13, 200, "updated", False),
    Kind.UNCHANGED: (14, 200, "updated", False),
}

TEXTS = {
    CREATED: "Created",
    UPDATED: "Updated",
    SUPERSEDED: "Superseded",
    CANCELLED: "Cancelled",
    REFUSED: "The target database refused this item for a reason that is not the item's own.",
    UNAVAILABLE: "The target database did not answer before the retry deadline. The item can be sent again.",
    NOT_APPLIED: "Not applied: another item of the batch failed, and the batch was to be applied as a whole.",
    UNTRUSTED: "Not applied: the stored copy of this item was modified outside the service. Send it again.",
    VALID: "Valid",
    WOULD_CREATE: "Would be created",
    UNCHANGED: "Unchanged",
    OTHER_CARE_PLAN: "carePlan_Key: the case exists under another care plan",
}


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_is_what_the_contract_says(kind: Kind) -> None:
    assert (int(kind), kind.status, kind.counted_as, kind.retryable) == TABLE[kind]
    assert kind.failed == (TABLE[kind][2] == "failed")


def test_each_text_is_the_same_for_ever() -> None:
    assert {outcome: outcome.body for outcome in TEXTS} == TEXTS
    assert dict(FIXED) == {outcome.kind: outcome for outcome in TEXTS if outcome is not OTHER_CARE_PLAN}


def test_of_a_whole_batch_with_a_failed_item_the_others_are_not_applied() -> None:
    invalid = Outcome(Kind.INVALID, "case_Status: must be a string")
    outcomes = [CREATED, invalid, UPDATED, OTHER_CARE_PLAN, SUPERSEDED, REFUSED, NOT_APPLIED]
    expected = [NOT_APPLIED, invalid, NOT_APPLIED, OTHER_CARE_PLAN, NOT_APPLIED, REFUSED, NOT_APPLIED]
    assert none_applied(outcomes) == expected


OUTCOMES = st.lists(
    st.sampled_from([*FIXED.values(), OTHER_CARE_PLAN])
    | st.builds(would_update, st.sampled_from([("case_ID",), ("case_ID", "case_Status")]))
    | st.builds(Outcome, st.sampled_from([Kind.INVALID, Kind.CONFLICT]), st.sampled_from(["", "a: b", "ä" * 300])),
    max_size=30,
)


@given(OUTCOMES)
def test_outcomes_are_kept_as_runs_of_equal_kinds(outcomes: list[Outcome]) -> None:
    packed = msgspec.msgpack.decode(pack_outcomes(outcomes), strict=True)
    assert packed["runs"] == [[int(one.kind), len(list(alike))] for one, alike in groupby(outcomes)]
    own = {place: one for place, one in enumerate(outcomes) if one.kind not in FIXED}
    assert packed["texts"] == {place: one.body for place, one in own.items() if one.changes is None}
    changes = {place: list(one.changes) for place, one in own.items() if one.changes}
    assert packed.get("changes", {}) == changes
    assert unpack_outcomes(pack_outcomes(outcomes)) == outcomes


def test_an_update_without_changes_is_reported_as_unchanged() -> None:
    assert would_update(()) is UNCHANGED
    assert (would_update(("case_ID",)).body, would_update(("case_ID",)).changes) == ("Would be updated", ("case_ID",))


def test_what_was_kept_by_an_earlier_version_is_read() -> None:
    packed = {"runs": [[1, 2], [4, 1], [7, 1], [5, 2]], "texts": {2: "a", 4: "b", 5: "b"}}
    assert unpack_outcomes(msgspec.msgpack.encode(packed)) == [
        CREATED, CREATED, Outcome(Kind.INVALID, "a"), REFUSED, Outcome(Kind.CONFLICT, "b"), Outcome(Kind.CONFLICT, "b"),
    ]  # fmt: skip
