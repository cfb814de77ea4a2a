"""After a failed attempt: what next and when."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.cases.outcomes import REFUSED, UNAVAILABLE
from carecase_worker.errors import FailureKind
from carecase_worker.store.operations.claims import History, RetryLater
from carecase_worker.worker.attempts.retry_policy import GiveUp, plan_retry

DAY, LEAST = timedelta(days=1), timedelta(microseconds=1)
UNEXPLAINED = (FailureKind.REFUSED, FailureKind.CONFLICT, FailureKind.UNEXPECTED)
PASSING = (FailureKind.AWAY, FailureKind.TOO_SLOW, FailureKind.CONTENTION)


def ms(number: float) -> timedelta:
    return timedelta(milliseconds=number)


def wait_of(kind: FailureKind, history: History, roll: float = 0.5) -> RetryLater:
    plan = plan_retry(kind, history, DAY, roll)
    assert isinstance(plan, RetryLater)
    return plan


NEXT = {
    FailureKind.AWAY: RetryLater(
        ms(125), open_circuit=ms(125), unexplained=False, counts_toward_deadline=True, too_slow=False
    ),
    FailureKind.TOO_SLOW: RetryLater(ms(125), ms(0), unexplained=False, counts_toward_deadline=True, too_slow=True),
    FailureKind.CONTENTION: RetryLater(ms(125), ms(0), unexplained=False, counts_toward_deadline=True, too_slow=True),
    FailureKind.UNREADABLE: RetryLater(ms(125), ms(0), unexplained=False, counts_toward_deadline=False, too_slow=False),
    FailureKind.REFUSED: RetryLater(ms(125), ms(0), unexplained=True, counts_toward_deadline=False, too_slow=False),
    FailureKind.CONFLICT: RetryLater(ms(125), ms(0), unexplained=True, counts_toward_deadline=False, too_slow=False),
    FailureKind.UNEXPECTED: RetryLater(ms(125), ms(0), unexplained=True, counts_toward_deadline=False, too_slow=False),
}
"""After the first attempt, if chance has it soonest: only an absent database is left alone by all."""


@pytest.mark.parametrize("kind", FailureKind)
def test_each_kind_of_failure_has_its_own_wait(kind: FailureKind) -> None:
    assert plan_retry(kind, History(), DAY, 0.0) == NEXT[kind]


LONGEST_MS = {0: 250, 1: 500, 2: 1000, 3: 2000, 4: 4000, 5: 4000, 6: 4000, 10: 4000, 11: 4000, 10_000: 4000}
"""The longest wait by the number of attempts before this one: it doubles up to four seconds."""


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("attempts", LONGEST_MS)
def test_the_wait_doubles_up_to_four_seconds_and_half_of_it_is_chance(kind: FailureKind, attempts: int) -> None:
    longest_ms = LONGEST_MS[attempts]
    for history in (History(releases=attempts), History(failures=attempts), History(releases=attempts, failures=1)):
        if attempts == 0 and history.failures:
            continue
        waits = [wait_of(kind, history, roll).after for roll in (0.0, 0.25, 0.5, 1 - 2**-52)]
        assert waits == [ms(longest_ms / 2), ms(longest_ms * 5 / 8), ms(longest_ms * 3 / 4), ms(longest_ms)]


def test_an_absent_database_is_left_alone_for_as_long_as_the_chunk_waits() -> None:
    for attempts, roll in ((0, 0.1), (3, 0.5), (99, 0.9)):
        wait = wait_of(FailureKind.AWAY, History(failures=attempts), roll)
        assert wait.open_circuit == wait.after


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("deadline", [DAY, ms(0), ms(1500)])
def test_past_the_deadline_the_items_may_be_sent_again(kind: FailureKind, deadline: timedelta) -> None:
    assert isinstance(plan_retry(kind, History(failing_for=deadline - LEAST), deadline, 0.5), RetryLater)
    for after in (ms(0), LEAST, DAY):
        assert plan_retry(kind, History(failing_for=deadline + after), deadline, 0.5) == GiveUp(UNAVAILABLE)


@pytest.mark.parametrize("kind", UNEXPLAINED)
def test_what_no_wait_mends_is_given_up_after_five_such_attempts(kind: FailureKind) -> None:
    assert isinstance(plan_retry(kind, History(faults=4), DAY, 0.5), RetryLater)
    for faults in (5, 6, 10_000):
        assert plan_retry(kind, History(faults=faults), DAY, 0.5) == GiveUp(REFUSED)


OTHER_COUNTS = st.builds(
    History,
    deaths=st.integers(0, 10_000),
    releases=st.integers(0, 10_000),
    failures=st.integers(0, 10_000),
    too_slow=st.integers(0, 10_000),
)


@given(st.sampled_from(FailureKind), OTHER_COUNTS)
def test_no_other_count_gives_a_chunk_up(kind: FailureKind, history: History) -> None:
    wait_of(kind, history)


@pytest.mark.parametrize("kind", UNEXPLAINED)
def test_an_outage_does_not_end_what_nobody_can_explain(kind: FailureKind) -> None:
    wait_of(kind, History(faults=4, failing_for=10 * DAY))


@pytest.mark.parametrize("kind", PASSING)
def test_faults_do_not_end_what_a_wait_can_mend(kind: FailureKind) -> None:
    wait_of(kind, History(faults=10_000))


def test_a_chunk_that_only_this_worker_cannot_read_is_never_given_up() -> None:
    wait_of(FailureKind.UNREADABLE, History(faults=10_000, failing_for=10 * DAY))
