"""After a failed attempt: what next and when."""

from datetime import timedelta

import pytest

from carecase_worker.cases.outcome import REFUSED, UNAVAILABLE
from carecase_worker.errors import FailureKind
from carecase_worker.jobs.verdicts import History, Wait
from carecase_worker.worker.retry import GiveUp, plan_retry

DAY = timedelta(days=1)
UNEXPLAINED = (FailureKind.REFUSED, FailureKind.CONFLICT, FailureKind.UNEXPECTED)
PASSING = (FailureKind.AWAY, FailureKind.TOO_SLOW, FailureKind.CONTENTION)


def wait_of(kind: FailureKind, history: History, roll: float = 0.5) -> Wait:
    plan = plan_retry(kind, history, DAY, roll)
    assert isinstance(plan, Wait)
    return plan


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failed_chunk_is_tried_again_within_seconds(kind: FailureKind) -> None:
    for releases, roll in ((0, 0.0), (0, 0.999), (3, 0.5), (4, 0.999)):
        after = wait_of(kind, History(releases=releases), roll).after
        assert timedelta(milliseconds=100) < after <= timedelta(seconds=4)


@pytest.mark.parametrize("name", ["releases", "failures"])
def test_the_wait_grows_but_stays_short_however_long_the_database_is_away(name: str) -> None:
    waits = [wait_of(FailureKind.AWAY, History(**{name: n}), 1.0).after for n in (0, 1, 2, 3, 4, 5, 10_000)]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] == timedelta(seconds=4)


def test_only_an_absent_database_is_left_alone() -> None:
    assert [kind for kind in FailureKind if wait_of(kind, History()).pause] == [FailureKind.AWAY]


def test_only_what_nobody_can_explain_counts_as_a_fault() -> None:
    assert {kind for kind in FailureKind if wait_of(kind, History()).unexplained} == set(UNEXPLAINED)


@pytest.mark.parametrize("kind", PASSING)
def test_past_the_deadline_the_items_are_told_to_come_again(kind: FailureKind) -> None:
    assert plan_retry(kind, History(failing_for=DAY), DAY, 0.5) == GiveUp(UNAVAILABLE)


@pytest.mark.parametrize("kind", UNEXPLAINED)
def test_what_no_wait_mends_is_given_up_after_a_few_attempts(kind: FailureKind) -> None:
    assert plan_retry(kind, History(faults=5), DAY, 0.5) == GiveUp(REFUSED)
    assert isinstance(plan_retry(kind, History(releases=10_000), DAY, 0.5), Wait), "outages do not count"


@pytest.mark.parametrize("kind", PASSING)
def test_what_a_wait_can_mend_is_not_given_up_before_the_deadline(kind: FailureKind) -> None:
    wait_of(kind, History(releases=10_000, faults=10_000))


def test_a_chunk_that_only_this_worker_cannot_read_is_never_given_up() -> None:
    assert isinstance(plan_retry(FailureKind.UNREADABLE, History(faults=99, failing_for=DAY), DAY, 0.5), Wait)
