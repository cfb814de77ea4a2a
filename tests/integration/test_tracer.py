"""The tracer: which traces are recorded, what a span is linked to, and spans beyond the bound."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.acceptance.system import eventually
from tests.collector import Collector, a_traceparent, collecting
from tests.integration.intake.intakes import an_intake
from tests.services import Services

from carecase_worker.settings.sections.tracing import TracingSettings
from carecase_worker.traceparent import TraceParent
from carecase_worker.tracing.otlp import OtlpTracer

MOST_LINKS = 100
AT_ONCE, REQUESTS = 512, 8
SENT, NOT_SAMPLED = a_traceparent(7), a_traceparent(8, sampled=False)


def place(parent: TraceParent) -> tuple[str, str]:
    return parent.trace_id, parent.span_id


@contextmanager
def tracing(**settings: Any) -> Iterator[tuple[OtlpTracer, Collector]]:
    """A tracer, and the collector that has all its spans afterwards."""
    with collecting() as collector:
        made = TracingSettings.model_validate({"endpoint": collector.url, "timeout_seconds": 60, **settings})
        tracer = OtlpTracer(made, "tests")
        yield tracer, collector
        tracer.close()


@pytest.mark.parametrize("name", ["carecase", "batches of a region"])
def test_a_span_names_its_service_as_the_settings_do(name: str) -> None:
    with tracing(service_name=name) as (tracer, collector):
        tracer.request("PUT", SENT).end()
    assert {span.service for span in collector.spans} == {f"{name}-tests"}


def recorded(ratio: float, traces: int) -> int:
    """How many of so many traces that begin here are recorded, as requests or as chunks."""
    with tracing(sample_ratio=ratio, max_spans=2 * traces) as (tracer, collector):
        for number in range(traces):
            span = tracer.attempt([None]) if number % 2 else tracer.request("PUT", None)
            with span:
                assert span.traceparent is not None, "the work that follows is of the same trace"
                sampled = span.traceparent.sampled
                with span.child("write") as part:
                    assert part.traceparent is None or part.traceparent.sampled == sampled
    names = [span.name for span in collector.spans]
    roots = [name for name in names if name != "write"]
    assert len(roots) == names.count("write"), "a trace is recorded whole or not at all"
    return len(roots)


def test_of_traces_that_begin_here_so_many_are_recorded_as_the_setting_says() -> None:
    assert recorded(0.0, 40) == 0
    assert 200 < recorded(0.5, 800) < 600, "400, within what chance will never exceed"


def test_a_part_of_traces_may_not_be_recorded_and_those_of_clients_are_as_they_say() -> None:
    with tracing(sample_ratio=0.0) as (tracer, collector):
        tracer.request("GET", SENT).end()
        tracer.attempt([NOT_SAMPLED, SENT]).end()
        for span in (tracer.request("PUT", NOT_SAMPLED), tracer.attempt([NOT_SAMPLED]), tracer.request("GET", None)):
            span.end()
        assert tracer.request("PUT", NOT_SAMPLED).traceparent == NOT_SAMPLED
    assert [(span.name, span.kind) for span in collector.spans] == [("GET", "SERVER"), ("group", "CONSUMER")]
    request, group = collector.spans
    assert (request.place[0], request.parent) == place(SENT)
    assert (group.parent, group.links) == ("", [place(NOT_SAMPLED), place(SENT)])
    assert group.attributes["carecase.chunks"] == 2


def test_a_chunk_is_a_part_of_the_trace_of_its_request_and_a_group_has_a_bound_of_links() -> None:
    with tracing() as (tracer, collector):
        tracer.attempt([SENT], 5).end(9)
        tracer.attempt([a_traceparent(number) for number in range(1, MOST_LINKS + 2)]).end()
        tracer.attempt([None, None]).end()
    chunk, group, without = collector.spans
    assert (without.parent, without.links, without.attributes["carecase.chunks"]) == ("", [], 2)
    assert (chunk.place[0], chunk.parent, chunk.links) == (SENT.trace_id, SENT.span_id, [place(SENT)])
    assert (chunk.began_ns, chunk.ended_ns) == (5, 9)
    assert len(group.links) == MOST_LINKS


def test_the_end_of_a_job_is_in_the_trace_of_its_request_if_that_is_recorded() -> None:
    with tracing() as (tracer, collector):
        attempt = tracer.attempt([None])
        attempt.past("job", 5, NOT_SAMPLED)
        attempt.past("job", 5, SENT, job_id="j")
        attempt.past("wait", 6)
        assert attempt.traceparent is not None
        its_place = place(attempt.traceparent)
    job, wait = collector.spans
    assert (job.name, job.place[0], job.parent, job.links) == ("job", SENT.trace_id, SENT.span_id, [its_place])
    assert (wait.place[0], wait.parent, wait.links) == (*its_place, [])


def test_work_that_fails_is_named_by_the_type_of_its_error_alone() -> None:
    with tracing() as (tracer, collector), pytest.raises(ValueError), tracer.attempt([None]):
        raise ValueError("a case's own value")
    assert [span.error for span in collector.spans] == ["ValueError"]
    assert b"own value" not in b"".join(collector.bodies)


def test_spans_beyond_the_bound_are_lost_and_counted() -> None:
    with tracing(max_spans=2) as (tracer, collector):
        collector.answers.clear()  # so that those that are being sent keep their places
        for _ in range(5):
            tracer.attempt([None]).end()
        (lost,) = tracer.samples()
        collector.answers.set()
    assert (lost.value, len(collector.spans)) == (3, 2)


def test_a_span_that_follows_from_none_has_no_link() -> None:
    with tracing() as (tracer, collector):
        for sent in (None, SENT):
            with tracer.request("PUT", SENT) as span:
                span.link(sent)
    assert sorted(len(span.links) for span in collector.spans) == [0, 1]


def test_a_collector_that_does_not_answer_is_given_up_after_the_time_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the variables of OpenTelemetry say."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "3600")
    lost = Event()
    with collecting() as collector:
        collector.answers.clear()
        settings = {"endpoint": collector.url, "timeout_seconds": 0.1, "max_spans": 1}
        tracer = OtlpTracer(TracingSettings.model_validate(settings), "tests", lambda _: lost.set())
        tracer.attempt([None]).end()
        assert lost.wait(25), "it hangs up only after half a minute"
        tracer.close()


def test_a_process_that_ends_does_not_wait_for_each_request_to_a_collector_that_does_not_answer() -> None:
    """With as much to send as eight requests take, it would be kept for eight times as long as the setting says."""
    with collecting() as collector:
        collector.answers.clear()
        settings = {"endpoint": collector.url, "timeout_seconds": 1, "max_spans": REQUESTS * AT_ONCE}
        tracer = OtlpTracer(TracingSettings.model_validate(settings), "tests")
        for _ in range(REQUESTS * AT_ONCE):
            tracer.attempt([None]).end()
        eventually(lambda: collector.asked, 60, "it is asked")
        tracer.close()
        assert collector.asked < REQUESTS
        (lost,) = tracer.samples()
        assert lost.value == REQUESTS * AT_ONCE


def test_what_was_lost_since_the_last_line_of_the_log_is_told_at_the_end() -> None:
    def lose_one(tracer: OtlpTracer, collector: Collector) -> None:
        """There is one place, and the first of two spans keeps it."""
        collector.answers.clear()
        for _ in range(2):
            tracer.attempt([None]).end()
        collector.answers.set()

    with capture_logs() as lines, tracing(max_spans=1) as (tracer, collector):
        lose_one(tracer, collector)
        eventually(lambda: lines, 60, "a line once the first one has left its place")
        lose_one(tracer, collector)
    assert [(line["event"], line["count"]) for line in lines] == [("spans lost", 1)] * 2


def test_an_intake_that_ends_has_sent_what_it_recorded(servers: Services) -> None:
    with collecting() as collector:
        with an_intake(servers.redis_url, "traced:", tracing={"endpoint": collector.url}) as intake:
            intake.send()
        assert [span.name for span in collector.spans if span.kind == "SERVER"] == ["PUT /care-cases-batch"]


def test_a_request_with_several_trace_contexts_is_part_of_neither(servers: Services) -> None:
    sent = [("traceparent", str(SENT)), ("traceparent", str(a_traceparent(9)))]
    with collecting() as collector:
        with (
            an_intake(servers.redis_url, "traced:", tracing={"endpoint": collector.url}) as intake,
            intake.client() as client,
        ):
            assert client.get("/jobs", headers=sent[:1]).status_code == 200
            assert client.get("/jobs", headers=[*client.headers.items(), *sent]).status_code == 200
        traces = [span.place[0] for span in collector.spans if span.name == "GET /jobs"]
    assert traces == [SENT.trace_id], "of several nobody knows which one is meant"


def test_a_request_that_is_refused_has_not_failed(servers: Services) -> None:
    with collecting() as collector:
        with (
            an_intake(servers.redis_url, "traced:", tracing={"endpoint": collector.url}) as intake,
            intake.client(traceparent=str(SENT)) as client,
        ):
            assert client.get("/jobs/x").status_code == 404
        (span,) = [span for span in collector.spans if span.kind == "SERVER"]
    assert (span.attributes["http.response.status_code"], span.error) == (404, None)
