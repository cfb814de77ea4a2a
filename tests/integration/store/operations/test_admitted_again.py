"""A batch is admitted whole, and once, however often its sender or the service tries.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

from dataclasses import replace

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.states import Batch


@pytest.mark.parametrize("staged", [(0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (1, 2, 3)])
def test_a_batch_is_admitted_only_if_all_of_its_chunks_are_there(beside: Beside, staged: tuple[int, ...]) -> None:
    batch = Batch("a", (1, 1, 1), idempotency="idem:k")
    beside.stage(batch, *staged)
    assert beside.admit(batch)[0] == ("admitted" if len(staged) == 3 else "lost")
    beside.admit(replace(batch, job="b"))


@pytest.mark.parametrize("ends", ["completed", "cancelled"])
@pytest.mark.parametrize("keep", [True, False])
def test_a_batch_that_is_admitted_again_stays_what_it_has_become(beside: Beside, ends: str, keep: bool) -> None:
    """Its chunks were staged again: those that are done go at once, or with the result."""
    batch = beside.admitted("a", (1, 1, 2))

    def again() -> None:
        beside.stage(batch, *range(3))
        beside.elapse(1000)
        assert beside.admit(batch) == ["admitted"]

    again()
    beside.claim("a", 0, "w")
    beside.complete("a", 0, keep=keep)
    again()
    if ends == "cancelled":
        beside.cancel("a")
        again()
    for n, size in ((1, 1), (2, 2)):
        beside.complete("a", n, counts={"cancelled" if ends == "cancelled" else "failed": size}, keep=keep)
    assert beside.model.jobs["a"].state == ends
    again()
    beside.elapse(beside.limits.retention_ms)
    again()


def test_items_that_are_sent_again_are_kept_once(beside: Beside) -> None:
    """By the job that has them now: whoever asks again gets it, whichever key it comes with."""
    beside.admitted("a", (1, 1, 1))
    for n, keep in ((0, True), (1, False), (2, True)):
        beside.complete("a", n, keep=keep, counts={"failed": 1})
    assert beside.admit(Batch("b", (1, 1), retry_of="a", idempotency="idem:k"), 0, 1)[0] == "admitted"
    assert "a" not in beside.model.payloads
    assert beside.admit(Batch("c", retry_of="a", idempotency="idem:k"), 0) == ["known", "b"]
    assert beside.admit(Batch("d", retry_of="a", idempotency="idem:other"), 0) == ["known", "b"]
    for n in (0, 1):
        beside.complete("b", n, keep=True, counts={"failed": 1})
    assert beside.admit(Batch("e", retry_of="a"), 0) == ["known", "b"]
    assert beside.admit(Batch("f", retry_of="b"), 0)[0] == "admitted"
    beside.elapse(beside.limits.retention_ms)
    beside.overdue()


def test_a_batch_that_is_admitted_again_harms_nothing_that_was_kept_meanwhile(beside: Beside) -> None:
    batch = Batch("a", (1, 1))
    beside.stage(batch, 0)
    beside.admit(batch, 1)
    beside.complete("a", 0, keep=True, counts={"failed": 1})
    beside.complete("a", 1, keep=True, counts={"failed": 1})
    assert beside.admit(batch, 1) == ["admitted"]
    assert set(beside.model.payloads["a"].chunks) == {0, 1}
