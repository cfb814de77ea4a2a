"""A database's order of acceptance begins above what the database holds.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

import pytest
from tests.integration.store.beside import Beside


@pytest.mark.parametrize("above", [-70_000, -60_001, -60_000, -2, -1, 0, 1, 60_000, 70_000])
@pytest.mark.parametrize("measured_from", ["least", "last", "now"])
def test_a_database_is_settled_above_what_it_holds(beside: Beside, above: int, measured_from: str) -> None:
    """Jobs of several care plans, one of them final; jobs before and after; the clock was set back between."""
    if measured_from == "now":
        beside.admitted("far")
        beside.elapse(-600_000)
    for number, care_plan in enumerate(["", "5", "", ""]):
        beside.admitted(f"a{number}", care_plan=care_plan)
        beside.elapse(1_000)
    beside.admitted("elsewhere", database="other")
    beside.complete("a0", 0)
    seqs = [beside.model.jobs[job].seq for job in ("a1", "a3")]
    highest = {"least": seqs[0], "last": seqs[1], "now": beside.model.now_ms}[measured_from] + above
    assert beside.settle(highest) == "settled"
    assert beside.settle(highest + 1_000_000) == "known"
    beside.cancel("a1")
    beside.complete("a1", 0)
    beside.admitted("b")


@pytest.mark.parametrize("above", [-1, 0, 1, 59_999, 60_000, 60_001])
@pytest.mark.parametrize("later_ms", [None, -30_000, 0, 30_000])
def test_a_database_without_open_jobs_is_settled_too(beside: Beside, above: int, later_ms: int | None) -> None:
    """It had one before, or none; `above` the last place that was given, or the clock."""
    last = beside.model.now_ms
    if later_ms is not None:
        beside.admitted("a")
        beside.complete("a", 0)
        beside.elapse(later_ms)
    beside.settle(last + above)
    beside.admitted("b")
    assert beside.claim("b", 0, "w")[14] == "0"


def test_a_database_that_looks_again_moves_what_has_come_since(beside: Beside) -> None:
    """`settled` is taken out, as docs/operations/redis-away.md says."""
    beside.admitted("a")
    beside.settle(0)
    beside.model.databases["demo"].settled = None
    beside.spoil(("DEL", "settled:demo"))
    beside.admitted("b")
    beside.settle(beside.model.now_ms + 1_000_000)
    assert beside.model.jobs["a"].seq <= beside.model.now_ms < beside.model.jobs["b"].seq
