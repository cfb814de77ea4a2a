"""Findings of an attempt at a chunk: its deadline, and what stays known if a transaction is lost."""

from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from carecase_worker.clock import monotonic
from carecase_worker.errors import FailureKind, TargetFailure


class TransactionLostError(Exception):
    """The database rolled back the whole transaction; nothing is written, but the findings have grown."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The deadline of an attempt in monotonic seconds, its length in seconds, and what broke a transaction.

    `broke` has the errors of parts of waves. `takes` says whether the database accepted a made-up case as a test.
    """

    until: float
    time_s: float
    broke: dict[tuple[int, int], SQLAlchemyError] = field(default_factory=dict)
    takes: dict[int, bool] = field(default_factory=dict)

    def left_s(self) -> float:
        """Return the remaining seconds. Raises TargetFailure if there are none."""
        left = self.until - monotonic()
        if left <= 0:
            raise TargetFailure(FailureKind.TOO_SLOW)
        return left
