"""A database takes exactly as many jobs and bytes as its backlog may have.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

from dataclasses import replace

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.states import Batch


@pytest.mark.parametrize(("bytes_before", "payload_bytes", "taken"), [(50, 9, 1), (50, 10, 1), (50, 11, 0), (0, 61, 0)])
def test_exactly_the_bytes_of_the_backlog_are_taken(
    beside: Beside, bytes_before: int, payload_bytes: int, taken: int
) -> None:
    if bytes_before:
        beside.admitted("a", payload_bytes=bytes_before)
    beside.admitted("other", payload_bytes=60, database="other")
    late = Batch("b", payload_bytes=payload_bytes, idempotency="idem:k")
    for _ in range(2):
        beside.stage(late, 0)
        assert beside.admit(late)[0] == ("admitted" if taken else "full")


def test_exactly_the_jobs_of_the_backlog_are_taken(beside: Beside) -> None:
    for number in range(5):
        beside.admitted(f"a{number}")
    late = Batch("b")
    beside.stage(late, 0)
    assert beside.admit(late) == ["full"]
    beside.complete("a3", 0)
    beside.stage(late, 0)
    assert beside.admit(late) == ["admitted", "b:0"]


@pytest.mark.parametrize("most", [0, 1, 2])
def test_a_new_database_may_have_as_many_jobs_as_any(beside: Beside, most: int) -> None:
    beside.limits = replace(beside.limits, max_jobs=most)
    for number in range(3):
        beside.stage(Batch(f"a{number}"), 0)
        assert beside.admit(Batch(f"a{number}"))[0] == ("admitted" if number < most else "full")
