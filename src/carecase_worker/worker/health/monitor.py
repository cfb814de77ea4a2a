"""The monitor of a worker's main process: it reports the worker's health, and restarts a stuck worker."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta

from carecase_worker.clock import monotonic
from carecase_worker.telemetry import MetricSample, logger
from carecase_worker.worker.health.signs import Health, Signs, assess, faults

STATUS_STUCK = 75
"""Exit status of a worker that was stuck: EX_TEMPFAIL of sysexits.h. Any supervisor then restarts it."""

_log = logger("health")


class Monitor:
    """The verdict on this process, updated by each call of `once`, and the restart of a stuck one.

    To restart, the process exits and its supervisor starts another one. First it gets SIGTERM, so that running chunks
    end; if the main loop does not react, the process is ended after `grace`.
    """

    def __init__(
        self, signs: Signs, timeout: timedelta, grace: timedelta, takes_connections: Callable[[], bool]
    ) -> None:
        self._signs = signs
        self._timeout = timeout
        self._grace = grace
        self._takes_connections = takes_connections
        self._started = monotonic()
        self._health = Health.STARTING
        self._ends_at: float | None = None

    @property
    def exit_status(self) -> int:
        """The exit status of the worker if the monitor has stopped it, else 0."""
        return 0 if self._ends_at is None else STATUS_STUCK

    def health(self) -> Health:
        """Return the last verdict."""
        return self._health

    def checks(self) -> dict[str, str]:
        """Return the parts without which the worker is not ready, each with its state, `ok` or another one."""
        return faults(self._signs, monotonic())

    def once(self) -> None:
        """Update the verdict; begin or continue the restart if the worker is stuck."""
        now = monotonic()
        if self._ends_at is None:
            self._health = assess(self._signs, self._started, now, self._timeout, self._takes_connections)
            if self._health is not Health.STUCK:
                return
            self._ends_at = now + self._grace.total_seconds()
            _log.error("worker restarts", reason=self._health.value)
            os.kill(os.getpid(), signal.SIGTERM)
        elif now >= self._ends_at:
            _log.error("worker ended", reason="its main loop did not react to SIGTERM")
            os._exit(STATUS_STUCK)

    def samples(self) -> Iterator[MetricSample]:
        """Yield the metrics of this process's health."""
        heard = "Seconds since the broker last responded to this worker's consumer"
        well = "Whether this worker's main process is healthy; 0: it is stuck, and restarts"
        since = max(self._signs.heard, self._started)
        yield MetricSample("carecase_worker_heard_seconds", heard, monotonic() - since, {})
        yield MetricSample("carecase_worker_well", well, int(self._health is not Health.STUCK), {})
