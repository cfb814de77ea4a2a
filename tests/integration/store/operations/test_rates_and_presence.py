"""A bucket fills at its rate, a pace is measured over windows, a worker is there for a minute.

Nothing is asserted of what the scripts do: they are held against the model after each test, with every key. What is
asserted is that the model came where the test wants it.
"""

from dataclasses import replace

import pytest
from tests.integration.store.beside import Beside


@pytest.mark.parametrize("length_ms", [0, 1, 999, 1_000, 1_001, 3_000, 4_999, 5_000, 5_001, 60_000])
@pytest.mark.parametrize("items", [1, 7])
def test_the_pace_is_measured_over_windows(beside: Beside, length_ms: int, items: int) -> None:
    beside.limits = replace(beside.limits, width=5)
    beside.admitted("a", (items, 1, items, 2, 100))
    for n in range(4):
        beside.complete("a", n)
        beside.elapse(length_ms)
    assert (beside.model.databases["demo"].pace.get("items_per_second", 0) > 0) == (
        length_ms * 3 >= 1_000 and length_ms <= 5_000
    )


def test_a_worker_is_there_for_a_minute(beside: Beside) -> None:
    beside.seen("one")
    for ms in (59_999, 1, -60_000, -1, 60_001, 1):
        beside.elapse(ms)
        beside.seen("other", "-12")
        beside.seen("third")
        beside.seen("one", "5" if ms > 1 else "")


@pytest.mark.parametrize(("each_us", "burst"), [(40_000, 50), (1_000_000, 1), (2_500_000, 3), (333_333.5, 1)])
def test_a_bucket_holds_a_burst_and_fills_by_and_by(beside: Beside, each_us: float, burst: int) -> None:
    assert [beside.spend("ann", each_us, burst)[0] for _ in range(burst + 2)] == [1] * burst + [0] * 2
    assert beside.spend("bob", each_us, burst)[0] == 1
    for us in (int(each_us) - 2, 1, 1, 1):
        beside.elapse(us / 1_000)
        beside.spend("ann", each_us, burst)
    for part in (0.999, 0.001, 1, 1.001, 2, 3.5, burst, burst + 0.5):
        beside.elapse(round(each_us * part) / 1_000)
        for _ in range(4):
            beside.spend("ann", each_us, burst)
    beside.spend("ann", each_us, max(1, burst // 2))
    beside.elapse(-3_600_000)
    assert beside.spend("ann", each_us, burst)[1] < each_us + 1, (
        "a clock that is set back costs one whole bucket at most"
    )
    beside.elapse(each_us * burst / 1_000 + 70_000)
    beside.spend("ann", each_us, burst)


@pytest.mark.parametrize(
    ("burst", "needed", "ahead", "taken"),
    [(50, 1, 0, 1), (50, 8, 0, 8), (50, 60, 0, 50), (50, 2, 8, 10), (50, 2, 64, 14), (50, 47, 64, 47), (4, 4, 4, 4)],
)
def test_some_requests_take_their_tokens_at_once_and_a_quarter_of_the_rest_ahead(
    beside: Beside, burst: int, needed: int, ahead: int, taken: int
) -> None:
    left = burst - taken
    assert beside.spend("ann", 40_000, burst, needed, ahead) == [taken, 0 if left else 40_000]
    assert beside.spend("ann", 40_000, burst, burst, ahead) == [left, 40_000]
    beside.elapse(120)
    assert beside.spend("ann", 40_000, burst, 2, ahead) == [2, 0], "only of what is left are some taken ahead"


def test_the_bucket_gets_fuller_by_what_was_not_used_and_no_fuller_than_full(beside: Beside) -> None:
    assert beside.spend("ann", 40_000, 50, 2, 8) == [10, 0]
    assert beside.spend("ann", 40_000, 50, 50, unused_us=8 * 40_000) == [48, 40_000]
    beside.elapse(80)
    assert beside.spend("ann", 40_000, 50, 10, unused_us=50_000) == [3, 30_000]
    beside.elapse(60_000)
    assert beside.spend("ann", 40_000, 50, 60, unused_us=320_000) == [50, 40_000]
