"""Log entries about a host whose clock differs from Redis's."""

from datetime import timedelta

from carecase_worker.store.workers.presence import TOLERATED
from carecase_worker.telemetry import logger

_log = logger("clock")


def clock_fault(ahead: timedelta | None, clock: str = "this host's clock") -> str | None:
    """Describe a clock's offset and its remedy; None if the offset is small or unknown."""
    if ahead is None or abs(ahead) <= TOLERATED:
        return None
    side = "ahead of" if ahead > timedelta(0) else "behind"
    return f"{clock} is {abs(ahead).total_seconds():.0f} s {side} Redis's; synchronise both by NTP"


class ClockWatch:
    """Logger of changes: once when this host's clock goes wrong, once when it is right again."""

    def __init__(self) -> None:
        self._off = False

    def observe(self, ahead: timedelta | None) -> None:
        """Log a change for the clock's current offset, positive if it is ahead; None if it is unknown."""
        if ahead is None:
            return
        fault = clock_fault(ahead)
        if fault is not None and not self._off:
            _log.warning("the clock is off", reason=fault)
        elif fault is None and self._off:
            _log.info("the clock is right again")
        self._off = fault is not None
