"""Items that are out before they are judged: too large, or taken out for killing their worker."""

import json
from typing import Any

import pytest
from tests.builders import NOW, a_batch, a_case

from carecase_worker.cases.outcomes import Kind, Outcome
from carecase_worker.cases.validation import Rules, invalid, validate, without

RULES = Rules(care_plan=None, user="sender", moment=NOW)


@pytest.mark.parametrize(
    ("places", "left"),
    [((), [1, 2, 3]), ({0}, [None, 2, 3]), ([2, 1], [1, None, None]), ({0, 1, 2}, [None] * 3)],
)
def test_items_that_kill_their_worker_are_taken_out_and_the_rest_keeps_its_places(places: Any, left: list[Any]) -> None:
    items = a_batch(a_case(1), a_case(2, case_ID="},{"), a_case(3))
    kept = json.loads(without(items, places))
    assert [item and item["case_Key"] for item in kept] == left
    assert [item for item in kept if item] == [item for item in json.loads(items) if item["case_Key"] in left]


def test_faults_that_are_known_already_are_reported_in_their_places() -> None:
    first, second, third = validate(a_batch(a_case(1), None, a_case(3)), RULES, {1: "item: is too large"})
    assert second == invalid("item: is too large") == Outcome(Kind.INVALID, "item: is too large")
    assert isinstance(first, dict)
    assert isinstance(third, dict)
