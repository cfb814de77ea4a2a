"""A job waits for those that it is placed behind, and for no other.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

from tests.integration.store.beside import Beside


def _three(beside: Beside) -> None:
    for number, job in enumerate(("a", "b", "c"), start=1):
        beside.admitted(job, care_plan=str(number))
        beside.elapse(5)


def test_a_job_behind_another_one_does_not_wait_for_what_came_between(beside: Beside) -> None:
    _three(beside)
    beside.place(("b", "", []), ("c", "a", []))
    assert beside.claim("c", 0, "w")[0] == "busy"
    beside.complete("a", 0)
    assert beside.claim("c", 0, "w")[0] == "apply", "b is open"


def test_a_job_behind_one_that_is_gone_waits_for_all_earlier_ones(beside: Beside) -> None:
    _three(beside)
    beside.place(("b", "", []), ("c", "gone", []))
    beside.complete("a", 0)
    assert beside.claim("c", 0, "w")[0] == "busy"
    beside.complete("b", 0)
    assert beside.claim("c", 0, "w")[0] == "apply"


def test_a_job_behind_one_that_has_ended_with_all_before_it_does_not_wait(beside: Beside) -> None:
    _three(beside)
    beside.complete("a", 0)
    beside.place(("b", "", []), ("c", "a", []))
    assert beside.claim("c", 0, "w")[0] == "apply"


def test_a_job_waits_for_each_of_those_it_is_placed_after(beside: Beside) -> None:
    _three(beside)
    beside.place(("b", "", []), ("c", "", ["a", "b"]))
    beside.complete("b", 0)
    assert beside.claim("c", 0, "w")[0] == "busy"
    beside.complete("a", 0)
    assert beside.claim("c", 0, "w")[0] == "apply"


def test_a_process_that_has_no_time_left_places_jobs_and_takes_none(beside: Beside) -> None:
    _three(beside)
    _, taken, to_notify, *_ = beside.place(("b", "", []), holder="")
    assert (taken, to_notify) == ([], ["b:0", "c:0"]), "others are notified for what is open, and for what is to place"
    assert beside.claim("b", 0, "w")[0] == "apply"
