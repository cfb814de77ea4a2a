"""Small batches that are lined up: who is notified for them, and which of them are taken together.

As in operations/, what the scripts do is held against the model after each test, with every key.
"""

from dataclasses import replace
from typing import Any

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.states import Answer, Batch


@pytest.fixture
def roomy(beside: Beside) -> Beside:
    """A store with room for many batches, in which the order of acceptance of the database is settled."""
    beside.limits = replace(beside.limits, max_jobs=1_000, max_bytes=100_000)
    beside.settle(0)
    return beside


def _small(beside: Beside, *jobs: str, **more: Any) -> list[bool]:
    """Admit small batches; whether each is notified for."""
    return [len(_admitted(beside, Batch(job, weight="1", **more))) == 1 for job in jobs]


def _admitted(beside: Beside, batch: Batch) -> Answer:
    beside.stage(batch, 0)
    return beside.admit(batch)[1:]


def test_one_notification_does_for_small_batches_that_come_soon_after_each_other(roomy: Beside) -> None:
    assert _small(roomy, *"abc") == [True, False, False]
    roomy.elapse(50)
    assert _small(roomy, *"de") == [True, False], "the first one may have been lost"


def test_sixty_four_small_batches_are_worth_another_process(roomy: Beside) -> None:
    notified_each = _small(roomy, *(f"j-{number:03}" for number in range(130)))
    assert [number for number, notified in enumerate(notified_each) if notified] == [0, 63, 64 + 63]


def test_nobody_is_notified_while_a_process_is_awake(roomy: Beside) -> None:
    _small(roomy, "a")
    roomy.claim_group("a", 0, "w")
    assert _small(roomy, "b") == [False]
    assert [one[0] for one in roomy.complete_group([("a", 0)], "w")[1]] == ["b:0"]
    roomy.elapse(99)
    assert _small(roomy, "c") == [False]
    roomy.elapse(1)
    assert _small(roomy, "d") == [True], "it takes long after all"


def test_another_process_takes_part_where_one_leaves_as_many_as_it_takes(roomy: Beside) -> None:
    for job in "abcdefg":
        _admitted(roomy, Batch(job, weight="4"))
    roomy.claim_group("a", 0, "w", room=10)
    _, *following = roomy.complete_group([("a", 0), ("b", 0)], "w", room=10)
    assert [one[0] for one in following[0]] == ["c:0", "d:0"]
    assert following[1] == ["g:0"], "the last one: the first ones are taken next"
    roomy.elapse(99)
    assert roomy.complete_group([("c", 0)], "w", room=4)[2] == [], "one more is on its way"
    roomy.elapse(1)
    assert roomy.complete_group([("e", 0)], "w", room=4)[2] == ["g:0"]


def test_who_has_nothing_to_go_on_with_is_not_awake(roomy: Beside) -> None:
    _small(roomy, "a", "b")
    roomy.claim_group("a", 0, "w")
    roomy.complete_group([("a", 0), ("b", 0)], "w")
    assert _small(roomy, "c") == [True]


def test_small_batches_are_taken_in_order_of_acceptance_while_they_find_room(roomy: Beside) -> None:
    for job, weight in (("a", "4"), ("b", "4"), ("c", "4"), ("d", "1")):
        _admitted(roomy, Batch(job, weight=weight))
    taken = roomy.claim_group("a", 0, "w", room=10)
    assert [one[0] for one in taken[1:]] == ["b:0"], "the smallest does not overtake"


def test_batches_of_a_care_plan_and_others_are_not_taken_together(roomy: Beside) -> None:
    _small(roomy, "a", "c")
    roomy.admitted("b", weight="1", care_plan="5")  # is to be placed, unless it is cancelled
    roomy.cancel("b")
    _small(roomy, "d")
    roomy.cancel("d")
    assert [one[0] for one in roomy.claim_group("a", 0, "w")[1:]] == ["c:0", "d:0"]


@pytest.mark.parametrize("why", ["deaths", "faults", "too_slow", "large", "unsettled", "another has it"])
def test_what_may_harm_others_goes_alone(roomy: Beside, why: str) -> None:
    if why == "unsettled":
        roomy.model.databases["demo"].settled = None
        roomy.spoil(("DEL", "settled:demo"))
    _admitted(roomy, Batch("b", weight="" if why == "large" else "1"))
    if why not in ("large", "unsettled"):
        roomy.claim("b", 0, "v")
    if why == "deaths":
        roomy.reclaim("v")
    if why in ("faults", "too_slow"):
        roomy.release(
            "b", 0, "v", open_circuit_ms=0, unexplained=why == "faults", too_slow=why == "too_slow", after_ms=0
        )
    roomy.elapse(2_000)
    roomy.overdue()
    roomy.settle(0)
    _small(roomy, "a")
    assert [one[0] for one in roomy.claim_group("a", 0, "w")[1:]] == []


def test_what_was_released_since_its_database_was_away_comes_back_with_others(roomy: Beside) -> None:
    _small(roomy, *"abc")
    roomy.claim_group("a", 0, "w")
    roomy.release_group([("a", 0), ("b", 0), ("c", 0)], "w")
    assert roomy.overdue() == [], "it is left alone"
    roomy.elapse(1_000)
    assert roomy.overdue() == ["a:0"], "and they are lined up behind that one"
    assert len(roomy.claim_group("a", 0, "v")) == 1, "who finds out if the database is back takes one chunk"
    assert len(roomy.complete_group([("a", 0)], "v")[1]) == 2


def test_a_job_that_is_gone_delays_none_behind_it(roomy: Beside) -> None:
    _small(roomy, "a", "b")
    roomy.model.databases["demo"].ready["gone:0"] = 0
    roomy.spoil(("ZADD", "ready:demo", "0", "gone:0"))
    assert [one[0] for one in roomy.claim_group("a", 0, "w")[1:]] == ["b:0"]


def test_who_claims_anew_gives_back_what_it_has_not_heard_of(roomy: Beside) -> None:
    """The answer to the first claim was lost, and the process lives on."""
    _small(roomy, *"abc")
    roomy.claim_group("a", 0, "w")
    assert [one[0] for one in roomy.claim_group("a", 0, "w")[1:]] == ["b:0", "c:0"]
    roomy.admitted("d", database="other", weight="1")
    roomy.claim_group("d", 0, "w")
    assert roomy.model.holding == {"d:0": "w"}
    assert [one[0] for one in roomy.claim_group("a", 0, "v")[1:]] == ["b:0", "c:0"]
    assert all(roomy.model.jobs[job].chunks[0].lease["deaths"] == 0 for job in "abc")


def test_a_chunk_that_was_given_back_and_completed_after_all_is_not_taken_again(roomy: Beside) -> None:
    _small(roomy, *"ab")
    roomy.claim("a", 0, "w")
    roomy.claim_group("b", 0, "w", room=1)
    assert "a:0" in roomy.model.databases["demo"].ready
    roomy.complete_group([("a", 0)])


@pytest.mark.parametrize("weight", ["1", ""])
def test_a_chunk_of_another_database_is_none_that_a_process_goes_on_with(roomy: Beside, weight: str) -> None:
    roomy.settle(0, "other")
    roomy.admitted("a", database="other", weight=weight)
    roomy.claim("a", 0, "w")
    roomy.admitted("b", (1, 1, 1), client="bob")
    roomy.claim("b", 0, "w")
    assert roomy.complete_group([("b", 0)], "w")[1][0][0] == "b:2"
    assert [one[0] for one in roomy.complete_group([("b", 0)], "w")[1]] == ["b:2"], "the first answer was lost"
    assert roomy.model.holding == {"b:2": "w"}


def test_a_killer_that_came_in_line_before_it_killed_is_not_taken_with_others(roomy: Beside) -> None:
    """As a process of an older version leaves it: that claims without taking out of the line."""
    _small(roomy, *"ab")
    roomy.claim("b", 0, "v")
    roomy.reclaim("v")
    roomy.model.databases["demo"].ready["b:0"] = roomy.model.jobs["b"].seq
    roomy.spoil(("ZADD", "ready:demo", roomy.model.jobs["b"].seq, "b:0"))
    assert [one[0] for one in roomy.claim_group("a", 0, "w")[1:]] == []


def test_who_probes_a_database_and_goes_on_elsewhere_leaves_the_probe_to_others(roomy: Beside) -> None:
    """The answer to its claim was lost, and it claims a chunk of another database."""
    roomy.settle(0, "other")
    roomy.admitted("a", (1, 1))
    roomy.claim("a", 0, "w")
    roomy.release("a", 0, "w")
    roomy.elapse(1_000)
    roomy.claim("a", 0, "w")
    assert roomy.claim("a", 1, "v")[0] == "circuit_open"
    roomy.admitted("b", database="other")
    roomy.claim_group("b", 0, "w")
    assert roomy.claim("a", 1, "v")[0] == "apply"
