"""The log's quota: so many lines a second of requests of which nobody known is the caller; others are only counted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from carecase_worker.clock import stopwatch
from carecase_worker.telemetry import Reading, logger

_log = logger("access")
_LEFT_OUT = "Lines of requests of unknown callers that are not in the log: there were too many in a second"


@dataclass(slots=True)
class LogQuota:
    """Bounds what nobody known can have written."""

    per_second: int
    seconds: Callable[[], float] = stopwatch
    left_out: int = 0
    _second: float = float("-inf")
    _taken: int = 0
    _untold: int = 0

    def takes(self) -> bool:
        """Tell if one more line is to be written."""
        now = self.seconds()
        if now - self._second >= 1:
            self._second, self._taken = now, 0
            if self._untold:
                _log.warning("requests of unknown callers are not in the log", count=self._untold)
                self._untold = 0
        if self._taken < self.per_second:
            self._taken += 1
            return True
        self.left_out += 1
        self._untold += 1
        return False

    def __call__(self) -> Iterator[Reading]:
        """The number that an operator sees."""
        yield Reading("carecase_log_lines_left_out", _LEFT_OUT, self.left_out, {}, counter=True)
