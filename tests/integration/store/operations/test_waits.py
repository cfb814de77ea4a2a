"""A placed job waits for earlier ones, one by one or for all up to a place, and is opened once the last of them ends.

As in the other modules here, the scripts are held against the model after each test, with every key.
"""

import pytest
from tests.integration.store.beside import Beside


def _admit(beside: Beside, *jobs: str) -> None:
    """Admit jobs, alternately without a care plan and of one."""
    for number, job in enumerate(jobs):
        beside.admitted(job, care_plan="5" if number % 2 else "")
        beside.elapse(10)


def _opened(beside: Beside, job: str) -> list[str]:
    """Complete a job; return what is to be notified for."""
    return beside.complete(job, 0)[3:]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_job_that_waits_for_all_up_to_a_place_is_opened_with_the_last_of_them(
    beside: Beside, order: tuple[str, str]
) -> None:
    beside.settle(0)
    _admit(beside, "a", "b", "c", "d")
    beside.place(("b", "", []))
    beside.place(("c", "", []), ("d", "b", []))
    first, last = order
    assert _opened(beside, first) == []
    assert _opened(beside, last) == ["d:0"], "and c, which came after that place, is still open"


def test_jobs_behind_the_same_place_are_opened_together(beside: Beside) -> None:
    beside.settle(0)
    _admit(beside, "a", "b", "c", "d")
    beside.place(("b", "a", []), ("c", "", []), ("d", "a", []))
    assert _opened(beside, "a") == ["b:0", "d:0"]


def test_a_job_that_waits_in_both_ways_is_opened_by_the_end_of_the_last(beside: Beside) -> None:
    beside.settle(0)
    _admit(beside, "a", "b", "c", "d")
    beside.place(("b", "", []), ("c", "", []), ("d", "a", ["c"]))
    assert _opened(beside, "a") == []
    assert _opened(beside, "c") == ["d:0"]


@pytest.mark.parametrize("above", [-1, 0, 600_000])
def test_a_job_behind_a_place_moves_with_it(beside: Beside, above: int) -> None:
    """The database holds newer cases than the new Redis knows: all places move up, or none."""
    _admit(beside, "a", "b")
    beside.place(("b", "a", []))
    beside.settle(beside.model.jobs["a"].seq + above)
    assert _opened(beside, "a") == ["b:0"]


def test_a_job_that_was_cancelled_while_it_waited_and_has_expired_is_let_be(beside: Beside) -> None:
    beside.settle(0)
    _admit(beside, "a", "b", "c")
    beside.place(("b", "", ["a"]), ("c", "a", []))
    for job in ("b", "c"):
        beside.cancel(job)
        beside.complete(job, 0, counts={"cancelled": 1})
    beside.elapse(2 * beside.limits.retention_ms + 1)
    assert _opened(beside, "a") == []
