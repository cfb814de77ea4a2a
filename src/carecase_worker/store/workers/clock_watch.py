"""Log entries about a host whose clock differs from Redis's."""

from datetime import timedelta

from carecase_worker.store.workers.presence import TOLERATED
from carecase_worker.telemetry import logger

_log = logger("clock")


def clock_fault(ahead: timedelta | None, clock: str = "this host's clock") -> str | None:
    """Describe the fault of a clock and its remedy; None if there is no fault, or the offset is unknown."""
    if ahead is None or abs(ahead) <= TOLERATED:
        return None
    side = "ahead of" if ahead > timedelta(0) else "behind"
    return f"{clock} is {abs(ahead).total_seconds():.0f} s {side} Redis's; have both set by NTP"


class ClockWatch:
    """Logs that this host's clock is off, and that it is right again: once each."""

    def __init__(self) -> None:
        self._off = False

    def observe(self, ahead: timedelta | None) -> None:
        """Take the offset of the clock, positive if it is ahead; None if the offset is unknown at the moment."""
        if ahead is None:
            return
        fault = clock_fault(ahead)
        if fault is not None and not self._off:
            _log.warning("the clock is off", reason=fault)
        elif fault is None and self._off:
            _log.info("the clock is right again")
        self._off = fault is not None
