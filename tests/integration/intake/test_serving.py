"""The intake around its answers: long polls, answers without a body, and what an operator sees."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis
from structlog.testing import capture_logs
from tests.acceptance.system import eventually
from tests.builders import a_batch, a_case
from tests.integration.intake.answers import GUARDED, JSON, accepted, item, job_of, multi_status, problem, require
from tests.integration.intake.intakes import Intake, an_intake
from tests.plain_http import http_client, http_get
from tests.services import Services

from carecase_worker.cases.outcomes import CREATED, UPDATED
from carecase_worker.clock import monotonic

BATCH = "/care-cases-batch"
ORIGIN = "https://desk.example"
EXPOSED = "Location, Retry-After, ETag, Preference-Applied, x-pagination, WWW-Authenticate"


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, "serving:") as started:
        yield started


def newest(intake: Intake) -> str | None:
    """The job that was accepted and is not final, once there is one."""
    with intake.client() as client:
        jobs = client.get("/jobs?state=queued").json()["data"]
    return str(jobs[0]["jobId"]) if jobs else None


def test_a_batch_whose_client_waits_is_answered_with_its_result(intake: Intake) -> None:
    with ThreadPoolExecutor() as threads, intake.client() as client:
        sent = a_batch(a_case(3), a_case(4))
        waiting = threads.submit(client.put, BATCH, content=sent, headers={"prefer": "wait=50, respond-async"})
        job_id = eventually(lambda: newest(intake), what="the batch is accepted")
        assert not waiting.done()
        intake.finish(job_id, [CREATED, UPDATED], first_key=3)
        response = waiting.result(40)
        headers = {"location": f"/jobs/{job_id}", "preference-applied": "wait=50", "vary": "Accept, Accept-Encoding"}
        coding = {"content-encoding": "zstd"} if response.headers.get("content-encoding") == "zstd" else {}
        coding = coding or {"content-encoding": "gzip"}
        document = multi_status(job_id, item(3, 201, "Created"), item(4, 200, "Updated"))
        require(response, 207, {**JSON, **headers, **coding}, document)


def test_who_waits_in_vain_learns_how_it_stands(intake: Intake) -> None:
    with intake.client(prefer="wait=1") as client:
        response = client.put(BATCH, content=a_batch(a_case()))
        headers, document = accepted(response)
        require(response, 202, {**headers, "preference-applied": "wait=1"}, document)
        job_id = response.json()["job"]["jobId"]
        response = client.get(f"/jobs/{job_id}/result")
        require(response, 202, {**headers, "preference-applied": "wait=1"}, document)
        response = client.get(f"/jobs/{job_id}")
        job = job_of(response.json()["data"])
        expected = {
            "etag": f'"queued-0-{job["sequence"]}"',
            "vary": "Accept",
            "retry-after": response.headers["retry-after"],
        }
        envelope = {"data": job, "error": None, "debug": {"activityID": job_id}}
        require(response, 200, {**JSON, **expected, "preference-applied": "wait=1"}, envelope)
    intake.finish(job_id)


@pytest.mark.parametrize("at", ["/jobs/{}", "/jobs/{}/result"])
def test_a_job_that_is_waited_for_is_shown_once_it_is_final(intake: Intake, at: str) -> None:
    job_id = intake.send()
    with ThreadPoolExecutor() as threads, intake.client(prefer="wait=50") as client:
        waiting = threads.submit(client.get, at.format(job_id))
        intake.finish(job_id)
        response = waiting.result(40)
    assert response.headers["preference-applied"] == "wait=50"
    assert response.status_code == (207 if at.endswith("result") else 200)
    if response.status_code == 200:
        assert response.json()["data"]["state"] == "completed"


def test_a_job_is_waited_for_by_any_spelling_of_its_id(intake: Intake) -> None:
    job_id = intake.send()
    with ThreadPoolExecutor() as threads, intake.client(prefer="wait=50") as client:
        waiting = threads.submit(client.get, f"/jobs/{job_id.upper()}")
        eventually(lambda: "\ncarecase_long_polls 1.0\n" in http_get(f"{intake.url}/metrics").text, 40, "it is held")
        intake.finish(job_id)
        assert waiting.result(40).json()["data"]["state"] == "completed"


def test_who_waits_for_what_is_not_theirs_is_not_kept(intake: Intake) -> None:
    job_id = intake.send()
    with intake.client("bob", prefer="wait=50") as stranger:
        for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/result"):
            began = time.monotonic()
            response = stranger.get(path)
            assert time.monotonic() - began < 25, "half of what it asks for"
            words = "There is no such job."
            require(response, 404, JSON, problem(response, "job-not-found", "Not Found", words, path))
    intake.finish(job_id)


def test_head_is_get_without_its_body(intake: Intake) -> None:
    job_id = intake.send()
    intake.finish(job_id)
    paths = ("/jobs", f"/jobs/{job_id}", f"/jobs/{job_id}/result?page=1", "/jobs/x", "/livez", "/readyz", "/nowhere")
    with intake.client(**{"accept-encoding": "identity"}) as client:
        for path in paths:
            head, get = client.head(path), client.get(path)
            assert (head.status_code, head.content) == (get.status_code, b"")
            framing = {"date", "transfer-encoding"}
            of_head, of_get = ({k: v for k, v in one.headers.items() if k not in framing} for one in (head, get))
            assert of_head == of_get, path
        assert client.head(BATCH).status_code == 405


def test_a_result_of_which_a_part_is_gone_is_gone(intake: Intake, servers: Services) -> None:
    job_id = intake.send()
    intake.finish(job_id)
    words = "The job is final and its result is no longer kept."
    with redis.Redis.from_url(servers.redis_url) as server, intake.client() as client:
        for key, query in (
            (intake.store.keys.tally(job_id), "?outcome=created"),
            (intake.store.keys.outcome(job_id), ""),
        ):
            server.unlink(key)
            response = client.get(f"/jobs/{job_id}/result{query}")
            path = f"/jobs/{job_id}/result"
            require(response, 410, JSON, problem(response, "job-expired", "Gone", words, path))


def test_a_batch_is_accepted_also_while_nobody_can_be_notified(servers: Services) -> None:
    nowhere = {"url": "redis://127.0.0.1:1/0"}
    with an_intake(servers.redis_url, "unrung:", broker=nowhere) as intake, capture_logs() as logs:
        job_id = intake.send()
        words = "the broker cannot be reached; check that it runs, and broker.url"
        line = {"event": "not notified", "database": "demo", "reason": words, "log_level": "warning"}
        eventually(lambda: line in logs, what="the operator is told")
        assert intake.store.jobs.job(job_id).total == 1


def lines_of(intake: Intake, method: str, path: str, content: bytes = b"", **headers: str) -> tuple[Any, list[Any]]:
    """An answer, and what the log has of it but for durations, which are within the time that it all took."""
    began = monotonic()
    with capture_logs() as logs, intake.client(**headers) as client:
        response = client.request(method, path, content=content)
        eventually(lambda: [line for line in logs if line["event"] == "request"], what="the request is logged")
    most_ms = 1000 * (monotonic() - began)
    for line in logs:
        if line["event"] == "request":
            assert 0 <= line.pop("duration_ms") <= most_ms
        assert set(line.pop("activity_id", "")) <= set("0123456789abcdef-")
    return response, list(logs)


def test_the_log_has_a_line_for_each_request_with_ids_and_counts_only(intake: Intake, servers: Services) -> None:
    who = {"client": "ann", "user": "user of ann", "address": "127.0.0.1"}
    sent = a_batch(a_case(), a_case(2))
    response, (line,) = lines_of(intake, "PUT", "/care-plans/5/cases-batch", sent)
    job_id = response.json()["job"]["jobId"]
    expected = {"event": "request", "log_level": "info", **who, "bytes_sent": len(response.content)}
    batch = {"method": "PUT", "route": "/care-plans/{carePlanKey}/cases-batch", "status": 202, "bytes": len(sent)}
    assert line == {**expected, **batch, "database": "demo", "items": 2, "job_id": job_id}
    intake.finish(job_id, [CREATED, CREATED])

    response, (line,) = lines_of(intake, "GET", f"/jobs/{job_id}")
    job = {"method": "GET", "route": "/jobs/{jobId}", "status": 200, "bytes": 0, "bytes_sent": len(response.content)}
    assert line == {**expected, **job, "database": "demo", "job_id": job_id}
    response, (line,) = lines_of(intake, "GET", f"/jobs/{job_id}/result", b"", **{"accept-encoding": "identity"})
    result = {**job, "route": "/jobs/{jobId}/result", "status": 207, "bytes_sent": len(response.content)}
    assert line == {**expected, **result, "database": "demo", "job_id": job_id, "items": 2}

    response, (line,) = lines_of(intake, "GET", "/jobs/a secret?page=1")
    refused = {**job, "status": 400, "bytes_sent": len(response.content), "reason": "bad-parameter"}
    assert line == {**expected, **refused}
    response, (line,) = lines_of(intake, "GET", "/a secret", authorization="Bearer a secret")
    nowhere = {**job, "route": "none", "status": 404, "bytes_sent": len(response.content), "reason": "http-404"}
    assert line == {"event": "request", "log_level": "info", "address": "127.0.0.1", **nowhere}

    with redis.Redis.from_url(servers.redis_url) as server:
        server.hset(intake.store.keys.job(job_id), "state", "a secret")
    _, (failure, line) = lines_of(intake, "GET", f"/jobs/{job_id}")
    where = failure.pop("where")
    assert failure == {"event": "request failed", "log_level": "error", "error": "ValueError"}
    assert "secret" not in where
    assert (line["status"], line["job_id"]) == (500, job_id)


def test_refusals_of_batches_are_counted_from_zero(servers: Services) -> None:
    """Prometheus would take the first value of a series for no rise: all refusals of a short outage."""
    with an_intake(servers.redis_url, "zero:") as intake, intake.client() as client:
        lines = client.get("/metrics").text.splitlines()
    assert [line for line in lines if line.startswith("carecase_http_requests_total")] == [
        f'carecase_http_requests_total{{method="PUT",route="{route}",status="{status}"}} 0.0'
        for route in ("/care-plans/{carePlanKey}/cases-batch", "/care-cases-batch")
        for status in (500, 503)
    ]


def test_the_metrics_count_requests_by_route_method_and_status(servers: Services) -> None:
    began = monotonic()
    with an_intake(servers.redis_url, "metrics:") as intake, intake.client() as client:
        intake.send()
        intake.finish(intake.send())
        for path in ("/jobs/x", "/jobs/y", "/a-secret"):
            client.get(path)
        client.head("/jobs/x")
        both = 'carecase_http_requests_total{method="PUT",route="/care-cases-batch",status="202"} 2.0'
        # a request is counted once its answer is sent and it has notified, which its client does not wait for
        jobs, size = intake.store.workload.backlog("demo")
        assert size > jobs == 1
        exposition = eventually(lambda: both in (metrics := client.get("/metrics")).text.splitlines() and metrics)
    assert exposition.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in exposition.text.splitlines() if "created" not in line or "carecase_items" in line]
    for expected in (
        both,
        'carecase_http_requests_total{method="GET",route="/jobs/{jobId}",status="404"} 2.0',
        'carecase_http_requests_total{method="HEAD",route="/jobs/{jobId}",status="404"} 1.0',
        'carecase_http_requests_total{method="GET",route="none",status="404"} 1.0',
        "carecase_acceptance_seconds_count 2.0",
        'carecase_http_request_seconds_count{route="/care-cases-batch"} 2.0',
        "carecase_store_up 1.0",
        "carecase_workers 0.0",
        'carecase_backlog_jobs{database="demo"} 1.0',
        'carecase_backlog_jobs{database="second"} 0.0',
        f'carecase_backlog_bytes{{database="demo"}} {size}.0',
        'carecase_open_items{database="demo"} 1.0',
        'carecase_open_chunks{database="demo"} 1.0',
        'carecase_database_away{database="demo",reason=""} 0.0',
        'carecase_items_total{database="demo",outcome="created"} 1.0',
    ):
        assert expected in lines
    sums = 'carecase_http_request_seconds_sum{route="/care-cases', "carecase_acceptance_seconds_sum"
    (seconds, acceptance) = [float(line.split()[-1]) for line in lines if line.startswith(sums)]
    assert 0 < seconds <= monotonic() - began
    assert 0 < acceptance < seconds
    assert "secret" not in exposition.text


@pytest.fixture(scope="module")
def called_by_pages(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, "pages:", intake={"cors_origins": [ORIGIN]}) as started:
        yield started


def test_pages_of_named_origins_may_call_and_read_and_no_others(called_by_pages: Intake) -> None:
    def asked(origin: str, **headers: str) -> httpx.Response:
        asks = {"origin": origin, "access-control-request-method": "PUT", **headers}
        with http_client(base_url=called_by_pages.url) as client:
            return client.options(BATCH, headers=asks)

    taken = (
        "x-api-key, Authorization, vbasoftware-database, Content-Type, Content-Encoding, Idempotency-Key, Prefer,"
        " If-None-Match, Last-Event-ID, traceparent, tracestate"
    )
    response = asked(ORIGIN, **{"access-control-request-headers": taken.lower()})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-max-age"] == "600"
    assert {name.strip() for name in response.headers["access-control-allow-methods"].split(",")} == {
        "GET", "PUT", "POST", "DELETE",
    }  # fmt: skip
    allowed = {name.strip().lower() for name in response.headers["access-control-allow-headers"].split(",")}
    assert allowed >= {name.strip().lower() for name in taken.split(",")}
    assert asked(ORIGIN, **{"access-control-request-headers": "x-other"}).status_code == 400
    assert asked("https://elsewhere.example").status_code == 400
    assert "access-control-allow-origin" not in asked("https://elsewhere.example").headers
    with called_by_pages.client(origin=ORIGIN) as client:
        response = client.get("/jobs/x")
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-expose-headers"] == EXPOSED
    assert GUARDED.items() <= response.headers.items()
