"""A lease lasts as long as it says, and is taken from nobody who has it.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

import pytest
from tests.integration.store.beside import Beside
from tests.integration.store.states import LONGEST_MS


@pytest.mark.parametrize("left_ms", [-1, 0, 1, 15_000, LONGEST_MS - 1, LONGEST_MS, LONGEST_MS + 1])
@pytest.mark.parametrize("holder", ["w", "v"])
def test_a_lease_lasts_as_long_as_it_says_and_never_longer_than_any(beside: Beside, left_ms: int, holder: str) -> None:
    """More than any lease may have is left of one from before the clock was set back."""
    beside.admitted("a")
    beside.claim("a", 0, "w")
    beside.elapse(15_000 - left_ms)
    beside.claim("a", 0, holder)
    beside.claim("a", 0, "u")
    beside.reclaim("w")
    beside.reclaim("v")


@pytest.mark.parametrize("state", ["running", "cancelling"])
@pytest.mark.parametrize("holder", ["w", "v"])
@pytest.mark.parametrize("open_circuit_ms", [15_000, 15_001, 15_002, 60_000])
def test_a_lease_that_has_run_out_is_taken_off_also_while_the_database_is_left_alone(
    beside: Beside, state: str, holder: str, open_circuit_ms: int
) -> None:
    beside.admitted("a", (1, 1))
    beside.claim("a", 0, "w")
    beside.claim("a", 1, "u")
    beside.release("a", 1, "u", open_circuit_ms=open_circuit_ms)
    beside.claim("a", 1, "u")
    if state == "cancelling":
        beside.cancel("a")
    beside.elapse(15_000)
    assert beside.claim("a", 0, holder)[0] == (
        "circuit_open" if open_circuit_ms > 15_000 else {"running": "apply"}.get(state, "cancel")
    )
    beside.reclaim("w")
    beside.reclaim("v")
    beside.elapse(60_000)
    beside.claim("a", 0, "v")


def test_a_dead_process_has_no_chunk_of_a_job_that_is_gone(beside: Beside) -> None:
    beside.model.holding |= {"gone:0": "w"}
    beside.spoil(("HSET", "holding", "gone:0", "w"))
    assert beside.reclaim("w") == []


def test_a_chunk_that_another_process_has_by_now_is_not_taken_back_from_it(beside: Beside) -> None:
    beside.admitted("a")
    beside.claim("a", 0, "v")
    beside.model.holding |= {"a:0": "w"}
    beside.spoil(("HSET", "holding", "a:0", "w"))
    assert beside.reclaim("w") == []
    assert beside.claim("a", 0, "x") == ["busy", "v"]


def test_a_chunk_that_another_process_has_by_now_is_not_given_back_for_it(beside: Beside) -> None:
    beside.admitted("a")
    beside.claim("a", 0, "v")
    beside.model.holding |= {"a:0": "w"}
    beside.spoil(("HSET", "holding", "a:0", "w"))
    beside.admitted("b", weight="1")
    beside.claim_group("b", 0, "w")
    assert beside.claim("a", 0, "x") == ["busy", "v"]


def test_a_process_with_two_leases_is_known_for_the_last(beside: Beside) -> None:
    beside.admitted("a", (1, 1))
    beside.claim("a", 0, "w")
    beside.claim("a", 1, "w")
    beside.release("a", 0, "w", open_circuit_ms=0)
    assert beside.reclaim("w") == ["demo", "a:1"]
    assert beside.reclaim("w") == []
