"""After a failed attempt: what next and when."""

from datetime import timedelta

import pytest

from carecase_worker.cases.outcome import REFUSED, UNAVAILABLE
from carecase_worker.errors import FailureKind
from carecase_worker.worker.retry import GiveUp, TryAgain, plan_retry

DAY = timedelta(days=1)
YOUNG = timedelta(seconds=1)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_young_chunk_is_tried_again_within_seconds(kind: FailureKind) -> None:
    for releases, roll in ((0, 0.0), (0, 0.999), (3, 0.5), (4, 0.999)):
        plan = plan_retry(kind, releases, YOUNG, DAY, roll)
        assert isinstance(plan, TryAgain)
        assert timedelta(milliseconds=100) < plan.after <= timedelta(seconds=4)


def test_the_wait_grows_but_stays_short_however_long_the_database_is_away() -> None:
    waits = [plan_retry(FailureKind.AWAY, n, YOUNG, DAY, 1.0).after for n in (0, 1, 2, 3, 4, 5, 10_000)]
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(seconds=4)


def test_only_an_absent_database_is_left_alone() -> None:
    for kind in FailureKind:
        plan = plan_retry(kind, 0, YOUNG, DAY, 0.5)
        assert isinstance(plan, TryAgain)
        assert bool(plan.pause) == (kind is FailureKind.AWAY)


def test_past_the_deadline_the_items_are_told_to_come_again() -> None:
    assert plan_retry(FailureKind.AWAY, 9, DAY, DAY, 0.5) == GiveUp(UNAVAILABLE)


@pytest.mark.parametrize("kind", [FailureKind.REFUSED, FailureKind.CONFLICT, FailureKind.UNEXPECTED])
def test_what_no_wait_mends_is_given_up_after_a_few_attempts(kind: FailureKind) -> None:
    assert plan_retry(kind, 5, YOUNG, DAY, 0.5) == GiveUp(REFUSED)


@pytest.mark.parametrize("kind", [FailureKind.AWAY, FailureKind.TOO_SLOW, FailureKind.CONTENTION])
def test_what_a_wait_can_mend_is_not_given_up_before_the_deadline(kind: FailureKind) -> None:
    assert isinstance(plan_retry(kind, 10_000, YOUNG, DAY, 0.5), TryAgain)
