"""Sending of spans, bounded in memory and in the time that it may delay the end of a process."""

import math
from collections.abc import Callable, Sequence
from threading import Lock

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from carecase_worker.clock import monotonic
from carecase_worker.telemetry import logger

_log = logger("tracing")
_REPORT_INTERVAL_S = 60.0


class SpanQueue:
    """The number of queued spans and of lost ones, which are logged once a minute.

    `on_lost` is called with the number of spans whenever some are lost; one call at a time, from any thread.
    """

    def __init__(self, most: int, on_lost: Callable[[int], None] = lambda _: None) -> None:
        self.lost = 0
        self._on_lost = on_lost
        self._most = most
        self._waiting = self._reported = 0
        self._report_at = -math.inf
        self._lock = Lock()

    def enter(self) -> bool:
        """Reserve a place for a span; return False if there is none, and the span is lost."""
        with self._lock:
            if self._waiting >= self._most:
                self._lose(1)
                return False
            self._waiting += 1
            return True

    def leave(self, count: int, is_sent: bool) -> None:
        """Free the places of spans that were sent or dropped."""
        with self._lock:
            self._waiting -= count
            if not is_sent:
                self._lose(count)
        self.report_lost()

    def report_lost(self, is_last: bool = False) -> None:
        """Log the spans lost since the last line, unless there was one within a minute and this is not the last."""
        with self._lock:
            unreported = self.lost - self._reported
            if not unreported or (monotonic() < self._report_at and not is_last):
                return
            self._reported, self._report_at = self.lost, monotonic() + _REPORT_INTERVAL_S
        _log.warning("spans lost", count=unreported, reason="the collector did not accept them; check tracing.endpoint")

    def _lose(self, count: int) -> None:
        self.lost += count
        self._on_lost(count)


class Sending(SpanExporter):
    """An exporter that counts the spans sent by another one, and stops in time."""

    def __init__(self, exporter: SpanExporter, queue: SpanQueue) -> None:
        self._exporter = exporter
        self._queue = queue
        self._ends_at = math.inf
        self._failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. While the process ends, drop all remaining spans after the first failure."""
        is_over = self._ends_at < math.inf and (self._failed or monotonic() > self._ends_at)
        result = SpanExportResult.FAILURE if is_over else self._exporter.export(spans)
        self._failed = result is not SpanExportResult.SUCCESS
        self._queue.leave(len(spans), not self._failed)
        return result

    def end_within(self, seconds: float) -> None:
        """Limit the time for the remaining spans."""
        self._ends_at, self._failed = monotonic() + seconds, False

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()
