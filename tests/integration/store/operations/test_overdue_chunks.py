"""A chunk is notified for once it is overdue, and not in crowds.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

from dataclasses import replace

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.states import LONGEST_MS


@pytest.mark.parametrize("late", [0, 1, 9, 10, 11, 12])
@pytest.mark.parametrize(("waiting", "limit"), [(0, 500), (0, 11), (1, 500), (1, 1), (2, 500), (12, 500), (100, 5)])
def test_while_notifications_wait_only_the_surplus_and_a_few_are_notified_for(
    beside: Beside, late: int, waiting: int, limit: int
) -> None:
    beside.limits = replace(beside.limits, width=20)
    beside.admitted("a", (1,) * 14)
    for n in range(late, 14):
        beside.claim("a", n, f"w{n}")
    beside.elapse(2_000)
    assert len(beside.overdue("demo", waiting, limit)) <= limit
    beside.overdue("demo", waiting, limit)


@pytest.mark.parametrize("by_ms", [0, 1, 1_999, 2_000, 2_001])
def test_a_chunk_is_overdue_from_the_time_that_it_is_due_on(beside: Beside, by_ms: int) -> None:
    beside.admitted("a", (1, 1, 1))
    beside.elapse(by_ms)
    assert len(beside.overdue()) == (2 if by_ms >= 2_000 else 0)


@pytest.mark.parametrize("back_ms", [LONGEST_MS - 1, LONGEST_MS, LONGEST_MS + 1, 10 * LONGEST_MS])
@pytest.mark.parametrize("limit", [1, 2, 500])
def test_what_would_be_due_too_late_is_notified_for_now(beside: Beside, back_ms: int, limit: int) -> None:
    beside.limits = replace(beside.limits, width=4)
    beside.admitted("a", (1,) * 5)
    beside.elapse(2_000 - back_ms)
    beside.admitted("b", (1,) * 5)
    beside.overdue("demo", 0, limit)
    beside.elapse(2_000)
    beside.overdue("demo", 0, limit)


def test_a_small_chunk_whose_lease_has_run_out_is_notified_for_and_goes_into_no_group(beside: Beside) -> None:
    """Its process may have died of it; so would one that claims it with others."""
    beside.settle(0)
    beside.admitted("a", weight="1")
    beside.claim("a", 0, "w")
    beside.elapse(beside.limits.lease_ms)
    assert beside.overdue() == ["a:0"]
    beside.admitted("b", weight="1")
    assert len(beside.claim_group("b", 0, "v")) == 1
