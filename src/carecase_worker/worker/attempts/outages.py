"""The log of databases that go away and come back."""

from dataclasses import dataclass, field

from carecase_worker.errors import Cause
from carecase_worker.telemetry import logger

_log = logger("worker")
_AGAIN_AFTER_S = 60


@dataclass(frozen=True, slots=True)
class Outages:
    """Outages that one process has logged, by database: the cause, and when, in seconds of the monotonic.

    A cause is logged when it first occurs, and once a minute while it lasts.
    """

    told: dict[str, tuple[Cause, float]] = field(default_factory=dict)

    def away(self, database: str, cause: Cause, now: float) -> None:
        """Note an attempt that found the database away."""
        last = self.told.get(database)
        if last is None or last[0] != cause or now - last[1] >= _AGAIN_AFTER_S:
            self.told[database] = cause, now
            _log.warning("database is away", database=database, reason=cause.text)

    def answered(self, database: str, failures: int) -> None:
        """Note that the database answered; `failures` attempts in a row, of any process, had found it away."""
        self.told.pop(database, None)
        if failures:
            _log.info("database is back", database=database)
