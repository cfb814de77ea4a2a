"""Bytes that bodies are inflated by: so many at once, so many a second for long, and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.intake.inflation import Inflation

PER_SECOND, BURST = 100, 1000


@pytest.mark.parametrize(
    ("spent", "elapsed_s", "wait_s"),
    [
        (BURST - 1, 0, 0.0),
        (BURST, 0, 0.0),
        (BURST + 1, 0, 0.01),
        (BURST + PER_SECOND, 0, 1.0),
        (BURST + PER_SECOND, 0.25, 0.75),
        (BURST + PER_SECOND, 1, 0.0),
        (BURST + PER_SECOND, 1000, 0.0),
        (50 * BURST, 0, 490.0),
    ],
)
def test_what_is_beyond_the_burst_is_waited_for(spent: int, elapsed_s: float, wait_s: float) -> None:
    inflation = Inflation(PER_SECOND, BURST)
    inflation.spend(spent, 5000.0)
    assert inflation.wait(5000.0 + elapsed_s) == pytest.approx(wait_s, abs=1e-6)


@given(st.lists(st.tuples(st.integers(1, 3 * BURST), st.floats(0, 20)), min_size=1, max_size=30))
def test_who_waits_has_no_more_than_the_burst_and_the_rate(spendings: list[tuple[int, float]]) -> None:
    """However it is spent, whoever waits before each time has had at most that; the last one may exceed it."""
    inflation, now, had = Inflation(PER_SECOND, BURST), 0.0, 0
    for size, pause_s in spendings:
        now += pause_s
        now += inflation.wait(now)
        assert had <= BURST + PER_SECOND * now + 1e-3
        inflation.spend(size, now)
        had += size


def test_a_pause_gives_no_more_than_the_burst() -> None:
    inflation = Inflation(PER_SECOND, BURST)
    inflation.spend(BURST, 0.0)
    inflation.spend(BURST + PER_SECOND, 1e6)
    assert inflation.wait(1e6) == pytest.approx(1.0)
