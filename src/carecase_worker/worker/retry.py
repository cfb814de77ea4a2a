"""After this failure, what next and when. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from carecase_worker.cases.outcome import REFUSED, UNAVAILABLE, Outcome
from carecase_worker.errors import FailureKind

_FIRST = timedelta(milliseconds=250)
_LONGEST = timedelta(seconds=4)
_UNEXPLAINED = (FailureKind.CONFLICT, FailureKind.REFUSED, FailureKind.UNEXPECTED)
_UNEXPLAINED_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Release the chunk for so long, and leave its database alone for `pause`."""

    after: timedelta
    pause: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Answer every item of the chunk with this."""

    outcome: Outcome


def plan_retry(kind: FailureKind, releases: int, age: timedelta, deadline: timedelta, roll: float) -> TryAgain | GiveUp:
    """What to do after a failed attempt.

    `releases` counts the chunk's failed attempts before this one, `age` is how long ago the batch was accepted, `roll`
    is a number from [0, 1). The wait doubles from a quarter of a second to four seconds, and half of it is chance: so
    that chunks do not come back all at once, and work goes on within seconds once the database answers.
    """
    if age >= deadline:
        return GiveUp(UNAVAILABLE)
    if kind in _UNEXPLAINED and releases >= _UNEXPLAINED_ATTEMPTS:
        return GiveUp(REFUSED)
    longest = min(_FIRST * 2 ** min(releases, 10), _LONGEST)
    after = longest * (0.5 + roll / 2)
    return TryAgain(after, pause=after if kind is FailureKind.AWAY else timedelta(0))
