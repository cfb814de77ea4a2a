"""Logging of database outages."""

from dataclasses import dataclass, field

from carecase_worker.errors import Cause
from carecase_worker.telemetry import logger

_log = logger("worker")
_AGAIN_AFTER_S = 60


@dataclass(frozen=True, slots=True)
class Outages:
    """Outages logged by this process, by database: the cause, and the monotonic time in seconds.

    A cause is logged when it first occurs, and once a minute while it lasts.
    """

    reported: dict[str, tuple[Cause, float]] = field(default_factory=dict)

    def away(self, database: str, cause: Cause, now: float) -> None:
        """Log the outage found by an attempt, unless it was logged within a minute."""
        last = self.reported.get(database)
        if last is None or last[0] != cause or now - last[1] >= _AGAIN_AFTER_S:
            self.reported[database] = cause, now
            _log.warning("database is away", database=database, reason=cause.text)

    def answered(self, database: str, failures: int) -> None:
        """Log the end of an outage; `failures` is the number of consecutive failed attempts of all processes."""
        self.reported.pop(database, None)
        if failures:
            _log.info("database is back", database=database)
