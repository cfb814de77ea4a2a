"""A batch is followed through its trace: the request, its admission, its chunks with their stages, its end."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.acceptance.refusing_connections import allow_connections
from tests.acceptance.system import System, eventually, running
from tests.builders import a_case
from tests.collector import Collector, SeenSpan, a_traceparent, collecting
from tests.pausing import frozen

from carecase_worker.targets.causes import Causes

CHUNKED = """
[intake]
rate_per_second = 0
refusal_hold_seconds = 0.001
[jobs]
chunk_items = 10
"""
PATH = "/care-cases-batch"
CAUSES = {cause.value.name for cause in Causes}
STAGES = {"claim", "validate", "write", "complete"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[System]:
    """A system that sends its spans to a collector; one process applies its chunks, of ten items."""
    place = tmp_path_factory.mktemp("traced")
    (place / "chunked.toml").write_text(CHUNKED)
    variables = {
        "CARECASE_TRACING_ENDPOINT": collector.url,
        "CARECASE_TRACING_HEADERS": "x-tenant=blue, authorization=Basic%20abc==",
        "CARECASE_WORKER_CONCURRENCY": "1",
    }
    with running(place, "--workers", "1", "--config", "chunked.toml", **variables) as started:
        yield started


def request_of(collector: Collector, job_id: str, name: str = f"PUT {PATH}") -> SeenSpan:
    (span,) = collector.awaited(name, job_id=job_id)
    return span


def parts_of(collector: Collector, span: SeenSpan) -> list[SeenSpan]:
    return [one for one in collector.of_trace(span.place[0]) if one.parent == span.place[1]]


def lines(system: System, event: str, **fields: Any) -> list[dict[str, Any]]:
    """Lines of any log of the service with some fields, once there are any."""

    def found() -> list[dict[str, Any]]:
        read = (json.loads(line) for line in system.logs().splitlines() if line.startswith('{"'))
        return [line for line in read if line.get("event") == event and fields.items() <= line.items()]

    return list(eventually(found, 60, f"a line {event} {fields}"))


def test_a_batch_is_followed_from_its_request_to_its_end(traced: System, collector: Collector, first_key: int) -> None:
    sent = a_traceparent(1)
    job_id = traced.send([a_case(first_key + number) for number in range(25)], traceparent=str(sent))
    traced.final(job_id)
    (job,) = collector.awaited("job", job_id=job_id)
    chunks = collector.awaited("chunk", 3, job_id=job_id)

    request = request_of(collector, job_id)
    assert (request.service, request.kind, request.parent) == ("carecase-intake", "SERVER", sent.span_id)
    assert request.attributes == {
        "http.request.method": "PUT",
        "http.route": PATH,
        "http.response.status_code": 202,
        "carecase.job_id": job_id,
        "carecase.database": "demo",
        "carecase.items": 25,
    }
    (admit,) = [span for span in parts_of(collector, request) if span.name == "admit"]
    assert request.began_ns <= admit.began_ns <= admit.ended_ns <= request.ended_ns

    assert sorted(chunk.attributes["carecase.chunk_no"] for chunk in chunks) == [0, 1, 2]
    for chunk in chunks:
        assert (chunk.service, chunk.kind, chunk.error) == ("carecase-worker", "CONSUMER", None)
        assert (chunk.parent, chunk.links) == (request.place[1], [request.place])
        facts = {"carecase.database": "demo", "carecase.verdict": "kept"}
        assert facts.items() <= chunk.attributes.items()
        stages = parts_of(collector, chunk)
        assert {stage.name for stage in stages} >= STAGES - {"claim"}
        assert all(chunk.began_ns <= stage.began_ns <= stage.ended_ns <= chunk.ended_ns for stage in stages)
    first = next(chunk for chunk in chunks if chunk.attributes["carecase.chunk_no"] == 0)
    assert {stage.name for stage in parts_of(collector, first)} == STAGES

    assert (job.parent, job.attributes["carecase.items"]) == (request.place[1], 25)
    assert job.links[0] in [chunk.place for chunk in chunks], "the chunk that ended it"
    assert {span.place[0] for span in (request, admit, *chunks, job)} == {sent.trace_id}
    assert {"x-tenant": "blue", "authorization": "Basic abc=="}.items() <= collector.headers[0].items()
    assert lines(traced, "request", job_id=job_id, trace_id=sent.trace_id, status=202)
    logged = lines(traced, "chunk", job_id=job_id, trace_id=sent.trace_id, database="demo")
    assert sorted(line["chunk_no"] for line in logged) == [0, 1, 2]


def test_small_batches_that_go_together_are_one_span_with_a_link_to_each(
    traced: System, collector: Collector, first_key: int
) -> None:
    with frozen(*traced.pool()):  # so that small batches line up
        jobs = [
            traced.send([a_case(first_key + number)], traceparent=str(a_traceparent(10 + number, number != 1)))
            for number in range(4)
        ]
    for job_id in jobs:
        traced.final(job_id)
    ends = [collector.awaited("job", job_id=job_id)[0] for job_id in (jobs[0], *jobs[2:])]
    (group,) = [span for span in collector.awaited("group") if span.place in ends[0].links]
    traces = {place[0] for place in group.links}
    assert traces == {a_traceparent(10 + number).trace_id for number in range(4)}
    assert group.attributes["carecase.chunks"] == 4
    assert group.place[0] not in traces, "it is in a trace of its own"
    assert {stage.name for stage in parts_of(collector, group)} == STAGES
    assert [end.links for end in ends] == [[group.place]] * 3, "each batch's trace leads to it"
    assert collector.of_trace(a_traceparent(11).trace_id) == [], "the trace that is not sampled has no span"
    (line,) = lines(traced, "chunk", job_id=jobs[0], count=4)  # it may have been notified for once more
    assert {"database": "demo", "items": 4}.items() <= line.items()


def test_a_request_that_reads_has_a_span_only_if_its_own_trace_is_sampled(
    traced: System, collector: Collector, first_key: int
) -> None:
    job_id = traced.send([a_case(first_key)], traceparent=str(a_traceparent(20)))
    traced.final(job_id)
    with traced.client() as client:
        for sent in (a_traceparent(21, sampled=False), a_traceparent(22)):
            assert client.get(f"/jobs/{job_id}", headers={"traceparent": str(sent)}).status_code == 200
    (poll,) = collector.awaited("GET /jobs/{jobId}")
    assert (poll.place[0], poll.parent) == (a_traceparent(22).trace_id, a_traceparent(22).span_id)
    for number in (21, 22):
        assert lines(traced, "request", method="GET", trace_id=a_traceparent(number).trace_id)


@pytest.mark.parametrize("sent", ["00-zz", "ff-" + str(a_traceparent(30))[3:]], ids=["no header", "no version"])
def test_a_traceparent_that_is_not_valid_is_ignored(
    traced: System, collector: Collector, first_key: int, sent: str
) -> None:
    job_id = traced.send([a_case(first_key)], traceparent=sent)
    traced.final(job_id)
    request = request_of(collector, job_id)
    assert request.parent == "", "the trace begins here"
    (end,) = collector.awaited("job", job_id=job_id)
    assert end.place[0] == request.place[0]
    assert lines(traced, "request", job_id=job_id, trace_id=request.place[0])


def test_a_retry_is_linked_to_the_batch_that_it_sends_again(
    traced: System, collector: Collector, first_key: int
) -> None:
    with frozen(*traced.pool()):  # so that small batches line up
        job_id = traced.send([a_case(first_key)], traceparent=str(a_traceparent(40)))
        with traced.client() as client:
            assert client.delete(f"/jobs/{job_id}").status_code == 202
    assert traced.final(job_id)["state"] == "cancelled"
    with traced.client() as client:
        again = client.post(f"/jobs/{job_id}/retry", headers={"traceparent": str(a_traceparent(41))})
    new_id = again.json()["job"]["jobId"]
    traced.final(new_id)
    (retry,) = collector.awaited("POST /jobs/{jobId}/retry", job_id=job_id)
    assert retry.links == [request_of(collector, job_id).place]
    (end,) = collector.awaited("job", job_id=new_id)
    assert (end.place[0], end.parent) == (a_traceparent(41).trace_id, retry.place[1])


def test_a_chunk_that_is_released_says_why_alone_and_in_a_group(
    traced: System, collector: Collector, first_key: int
) -> None:
    allow_connections(traced, False)
    try:
        with frozen(*traced.pool()):  # so that small batches line up
            jobs = [
                traced.send([a_case(first_key + number)], traceparent=str(a_traceparent(50 + number)))
                for number in range(3)
            ]
        (group, *_) = lines(traced, "chunk", job_id=jobs[0], count=3, verdict="released: away")
        alone = lines(traced, "chunk", verdict="released: away", database="demo")
    finally:
        allow_connections(traced, True)
    for job_id in jobs:
        assert traced.final(job_id)["state"] == "completed"
    assert group["database"] == "demo"
    assert all(line["reason"] in CAUSES for line in (group, *alone))
    failed = eventually(
        lambda: next((span for span in collector.spans if span.name == "group" and span.error), None),
        what="the span of the group that failed",
    )
    assert (failed.error, failed.attributes["error.type"]) == (group["reason"], group["reason"])
    assert {stage.name: stage.error for stage in parts_of(collector, failed)} == {
        "claim": None,
        "validate": None,
        "write": "TargetFailure",
    }
