"""Log quota for unauthenticated requests, in lines a second; requests beyond it are only counted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from carecase_worker.clock import monotonic
from carecase_worker.telemetry import MetricSample, logger

_log = logger("access")
_LEFT_OUT = "Log lines of unauthenticated requests that were dropped because of too many in a second"


@dataclass(slots=True)
class LogQuota:
    """The limit of log lines for unauthenticated requests."""

    per_second: int
    seconds: Callable[[], float] = monotonic
    left_out: int = 0
    _second: float = float("-inf")
    _taken: int = 0
    _unlogged: int = 0

    def takes(self) -> bool:
        """Return whether to write one more line, and count it."""
        now = self.seconds()
        if now - self._second >= 1:
            self._second, self._taken = now, 0
            if self._unlogged:
                _log.warning("requests of unknown callers are not in the log", count=self._unlogged)
                self._unlogged = 0
        if self._taken < self.per_second:
            self._taken += 1
            return True
        self.left_out += 1
        self._unlogged += 1
        return False

    def __call__(self) -> Iterator[MetricSample]:
        """Yield the metric."""
        yield MetricSample("carecase_log_lines_left_out", _LEFT_OUT, self.left_out, {}, counter=True)
