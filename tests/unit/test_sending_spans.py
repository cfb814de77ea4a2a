"""Spans have so many places and no more, losses are logged once a minute, and a process that ends is not kept long."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from carecase_worker.clock import system_sleep
from carecase_worker.tracing.sending import Sending, SpanQueue

SPANS = [ReadableSpan("a span")] * 2


class Exporter(SpanExporter):
    """An exporter that gives the result of a test, and notes what it is asked for."""

    def __init__(self, result: SpanExportResult, takes: timedelta = timedelta(0)) -> None:
        self.result, self.takes = result, takes
        self.asked = self.shut_down = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked += len(spans)
        system_sleep(self.takes)  # as a collector does that is slow
        return self.result

    def shutdown(self) -> None:
        self.shut_down += 1


def test_a_span_beyond_the_places_is_lost_until_others_have_left() -> None:
    sent: list[int] = []
    queue = SpanQueue(2, sent.append)
    assert [queue.enter() for _ in range(4)] == [True, True, False, False]
    queue.leave(1, is_sent=True)
    assert [queue.enter() for _ in range(2)] == [True, False]
    assert queue.lost == 3
    queue.leave(2, is_sent=False)
    assert queue.lost == sum(sent) == 5
    assert queue.enter()


def test_the_log_reports_losses_once_a_minute_and_at_the_end() -> None:
    queue = SpanQueue(1)
    with capture_logs() as lines:
        queue.report_lost(is_last=True)
        for _ in range(3):
            queue.enter()
        for _ in range(2):
            queue.leave(1, is_sent=False)
            queue.enter()
        queue.report_lost()
        assert [line["count"] for line in lines] == [3], "two without a place, one not sent"
        queue.report_lost(is_last=True)
    assert [(line["event"], line["count"]) for line in lines] == [("spans lost", 3), ("spans lost", 1)]


@pytest.mark.parametrize("result", SpanExportResult)
def test_what_the_collector_takes_is_not_lost(result: SpanExportResult) -> None:
    queue, exporter = SpanQueue(2), Exporter(result)
    assert queue.enter()
    assert queue.enter()
    assert Sending(exporter, queue).export(SPANS) is result
    assert queue.lost == (0 if result is SpanExportResult.SUCCESS else 2)


def test_a_process_that_ends_sends_what_is_left() -> None:
    exporter = Exporter(SpanExportResult.SUCCESS)
    sending = Sending(exporter, SpanQueue(9))
    sending.end_within(60)
    assert [sending.export(SPANS) for _ in range(2)] == [SpanExportResult.SUCCESS] * 2
    assert (exporter.asked, exporter.shut_down) == (4, 0)


def test_a_process_that_ends_asks_a_collector_that_is_away_once_more() -> None:
    exporter = Exporter(SpanExportResult.FAILURE)
    sending = Sending(exporter, SpanQueue(9))
    sending.export(SPANS)
    sending.end_within(60)
    assert [sending.export(SPANS) for _ in range(3)] == [SpanExportResult.FAILURE] * 3
    assert exporter.asked == 4


def test_a_process_that_ends_gives_up_once_its_time_is_over() -> None:
    exporter = Exporter(SpanExportResult.SUCCESS, takes=timedelta(milliseconds=2))
    sending = Sending(exporter, SpanQueue(9))
    sending.end_within(0.001)
    assert [sending.export(SPANS) for _ in range(3)][1:] == [SpanExportResult.FAILURE] * 2
    assert exporter.asked <= 2
