"""Retries: the next step after a failed attempt, and when to take it. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from carecase_worker.cases.outcomes import REFUSED, UNAVAILABLE, Outcome
from carecase_worker.clock import backoff
from carecase_worker.errors import FailureKind
from carecase_worker.store.operations.claims import History, RetryLater

_FIRST = timedelta(milliseconds=250)
_LONGEST = timedelta(seconds=4)
_UNEXPLAINED = (FailureKind.CONFLICT, FailureKind.REFUSED, FailureKind.UNEXPECTED)
_UNEXPLAINED_ATTEMPTS = 5
_OUT_OF_TIME = (FailureKind.TOO_SLOW, FailureKind.CONTENTION)


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The decision to give every item of the chunk this outcome."""

    outcome: Outcome


def plan_retry(kind: FailureKind, history: History, deadline: timedelta, chance: float) -> RetryLater | GiveUp:
    """Decide what to do after a failed attempt.

    `chance` is a random number from [0, 1). The delay doubles from 0.25 s to 4 s, and half of it is jitter, so that
    retries spread out and work resumes within seconds once the database responds. A chunk that this worker cannot read
    waits for one that can.
    """
    unexplained = kind in _UNEXPLAINED
    if unexplained and history.faults >= _UNEXPLAINED_ATTEMPTS:
        return GiveUp(REFUSED)
    if not unexplained and kind is not FailureKind.UNREADABLE and history.failing_for >= deadline:
        return GiveUp(UNAVAILABLE)
    attempts = max(history.releases, history.failures)
    after = backoff(attempts, _FIRST, _LONGEST, chance)
    open_circuit = after if kind is FailureKind.AWAY else timedelta(0)
    to_blame = not unexplained and kind is not FailureKind.UNREADABLE
    return RetryLater(after, open_circuit, unexplained, to_blame, too_slow=kind in _OUT_OF_TIME)
