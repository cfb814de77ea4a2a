"""The requests that each call of the client makes, whole, and what it makes of their answers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.client_answers import JOB, UPLOAD, Hands, accepted, calls_of, item, job_response, play, problem, result

from carecase_worker.client.documents import ItemResult
from carecase_worker.client.events import EventReader
from carecase_worker.client.exchange import transport
from carecase_worker.client.exchange.calls import Calls
from carecase_worker.client.exchange.steps import Delay, Request, Response, Result, Steps, advance
from carecase_worker.client.exchange.verdicts import RetryPolicy
from carecase_worker.client.uploads import BatchBuffer, Batches, Upload
from carecase_worker.errors import ClientError, JobNotFinal, RequestRefused, ServiceUnreachable
from carecase_worker.settings.loading import load

S = timedelta(seconds=1)
ID = "00000000-0000-0000-0000-000000000001"
"""The first id that is made."""
PUT = {"Content-Type": "application/json", "vbasoftware-database": "demo", "Idempotency-Key": ID}


def batch_of(*items: bytes, first: int = 0) -> BatchBuffer:
    gathered = BatchBuffer(first)
    for one in items:
        gathered.add(one)
    return gathered


def requests_of(steps: Steps[Any], *replies: Response, hands: Hands | None = None) -> list[Request]:
    """The requests of a call that gets these replies."""
    taken, _ = play(steps, replies, hands or Hands())
    return [step for step in taken if isinstance(step, Request)]


def in_turn(parts: Iterable[Steps[Sequence[Any]]]) -> Steps[list[Any]]:
    """The steps of all parts of a batch, one after the other."""
    done: list[Any] = []
    for steps in parts:
        done += yield from steps
    return done


def sent(steps: Steps[Any], *replies: Response) -> tuple[list[tuple[str, bytes]], Any]:
    """The keys and bodies of the batches that a call sends as it gets these replies, and what it comes to."""
    batches = []
    step = advance(steps)
    for reply in replies:
        assert isinstance(step, Request)
        assert callable(step.body)
        batches.append((step.headers["Idempotency-Key"], b"".join(step.body())))
        step = advance(steps, reply)
    assert isinstance(step, Result)
    return batches, step.value


@pytest.mark.parametrize(
    ("given", "path", "headers"),
    [
        ({"care_plan": None}, "/care-cases-batch", PUT),
        ({"care_plan": 0}, "/care-plans/0/cases-batch", PUT),
        ({"care_plan": -5, "key": "k"}, "/care-plans/-5/cases-batch", {**PUT, "Idempotency-Key": "k"}),
        ({"care_plan": None, "strict": True}, "/care-cases-batch", {**PUT, "Prefer": "handling=strict"}),
    ],
)
def test_a_batch_is_put_whole(given: dict[str, Any], path: str, headers: dict[str, str]) -> None:
    (request,) = requests_of(calls_of(Hands()).submit(UPLOAD, **given), accepted())
    assert request == Request("PUT", path, headers, {}, UPLOAD.pieces, timedelta(), 60 * S)


def test_a_dry_run_is_asked_for_beside_what_the_file_needs() -> None:
    upload = Upload(UPLOAD.pieces, "text/csv", parameters={"mapping": "m"})
    (request,) = requests_of(calls_of(Hands()).submit(upload, None, dry_run=True), accepted())
    assert request.parameters == {"mapping": "m", "dryRun": "true"}


def test_a_batch_says_how_it_is_written_and_for_which_database() -> None:
    upload = Upload(UPLOAD.pieces, "application/x-ndjson", "zstd")
    hands = Hands()
    calls = Calls(None, hands, hands, hands.new_id, RetryPolicy(silence=7 * S))
    (request,) = requests_of(calls.submit(upload, None), accepted())
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "zstd", "Idempotency-Key": ID}
    assert request == Request("PUT", "/care-cases-batch", headers, {}, UPLOAD.pieces, silence=7 * S)


@pytest.mark.parametrize(
    ("run", "first", "key"), [("run 1", 0, "run 1"), ("run 1", 1, "run 1-1"), ("r", 2000, "r-2000"), (None, 0, ID)]
)
def test_a_batch_of_a_run_has_a_key_of_the_run_and_its_place(run: str | None, first: int, key: str) -> None:
    steps = in_turn(calls_of(Hands()).submit_part(Batches(10, 1000), batch_of(b"1", first=first), None, run))
    assert [request.headers["Idempotency-Key"] for request in requests_of(steps, accepted())] == [key]


def test_what_is_too_large_goes_in_halves_and_so_does_what_comes_after_it() -> None:
    batches = Batches(5, 1000)
    parts = calls_of(Hands()).submit_part(batches, batch_of(b"0", b"1", b"2", b"3", b"4", first=10), 5, "r")
    put, jobs = sent(in_turn(parts), problem(413), accepted(), problem(413), accepted(), accepted())
    assert put == [
        ("r-10", b"[0,1,2,3,4]"), ("r-10", b"[0,1,2]"), ("r-13", b"[3,4]"), ("r-13", b"[3]"), ("r-14", b"[4]"),
    ]  # fmt: skip
    assert len(jobs) == 3
    assert [len(list(batches.add(b"%d" % n))) for n in range(3)] == [1, 1, 1], "batches are as small from now on"


def test_a_batch_that_was_filled_before_another_was_found_too_large_is_cut_before_it_is_sent() -> None:
    parts = calls_of(Hands()).submit_part(Batches(2, 1000), batch_of(b"0", b"1", b"2"), None, "r")
    put, _ = sent(in_turn(parts), accepted(), accepted())
    assert put == [("r", b"[0,1]"), ("r-2", b"[2]")]


def test_the_job_of_each_part_is_known_before_the_next_part_is_sent() -> None:
    parts = calls_of(Hands()).submit_part(Batches(1, 1000), batch_of(b"0", b"1", b"2"), None, "r")
    assert sent(next(parts)) == ([], []), "it is cut first"
    put, jobs = sent(next(parts), accepted())
    assert (put, [one.job_id for one in jobs]) == ([("r", b"[0]")], [JOB])
    with pytest.raises(ClientError):
        sent(next(parts), problem(403))


@pytest.mark.parametrize(("status", "items"), [(413, [b"0"]), (400, [b"0", b"1"]), (422, [b"0", b"1"])])
def test_what_cannot_be_helped_by_smaller_batches_is_reported(status: int, items: list[bytes]) -> None:
    parts = calls_of(Hands()).submit_part(Batches(5, 1000), batch_of(*items), None, None)
    with pytest.raises(RequestRefused) as refused:
        requests_of(in_turn(parts), problem(status))
    assert refused.value.status == status


def test_what_is_validated_is_put_with_a_parameter_and_counted_from_its_place() -> None:
    hands = Hands()
    steps = in_turn(calls_of(hands).validate_part(Batches(5, 1000), batch_of(b"0", b"1", b"2", first=7), 5))
    responses = [problem(413), result(item(1, 200, "Valid"), item(2, 422, "no")), result(item(None, 200, "Valid"))]
    taken, pages = play(steps, responses, hands)
    requests = [step for step in taken if isinstance(step, Request)]
    headers = {"Content-Type": "application/json", "vbasoftware-database": "demo"}
    assert [(one.method, one.path, one.headers, one.parameters) for one in requests] == [
        ("PUT", "/care-plans/5/cases-batch", headers, {"validateOnly": "true"})
    ] * 3
    assert [page.elements for page in pages] == [
        [ItemResult(7, 1, 200, "Valid"), ItemResult(8, 2, 422, "no")],
        [ItemResult(9, None, 200, "Valid")],
    ]


def test_the_calls_about_jobs_are_these() -> None:
    calls, path = calls_of(Hands()), f"/jobs/{JOB}"
    page, listed = result(), Response(200, {}, b'{"data": []}')
    for steps, reply, request in (
        (calls.job(JOB), job_response(), Request("GET", path)),
        (calls.job("a/b?c#d e"), job_response(), Request("GET", "/jobs/a%2Fb%3Fc%23d%20e")),
        (calls.cancel(JOB), accepted(), Request("DELETE", path)),
        (calls.retry(JOB), accepted(), Request("POST", f"{path}/retry", {"Idempotency-Key": f"retry of {JOB}"})),
        (calls.retry(JOB, "k"), accepted(), Request("POST", f"{path}/retry", {"Idempotency-Key": "k"})),
        (calls.result(JOB, None, 1, None), page, Request("GET", f"{path}/result")),
        (
            calls.result(JOB, "failed", 2, 7),
            page,
            Request("GET", f"{path}/result", parameters={"page": "2", "pageSize": "7", "outcome": "failed"}),
        ),
        (calls.jobs(None, None, 1, 50), listed, Request("GET", "/jobs", parameters={"page": "1", "pageSize": "50"})),
        (
            calls.jobs("queued", "demo", 3, 1),
            listed,
            Request("GET", "/jobs", parameters={"state": "queued", "database": "demo", "page": "3", "pageSize": "1"}),
        ),
    ):
        assert requests_of(steps, reply) == [request]


@pytest.mark.parametrize(
    ("within", "wait", "asked"),
    [
        (0.001, 0.001, "wait=1"),
        (1.0, 1.0, "wait=1"),
        (1.001, 1.001, "wait=2"),
        (20.0, 20.0, "wait=20"),
        (21.0, 20.0, "wait=20"),
        (3600.0, 20.0, "wait=20"),
    ],
)
def test_a_long_poll_asks_for_the_time_that_is_left_and_twenty_seconds_at_most(
    within: float, wait: float, asked: str
) -> None:
    for steps in (calls_of(Hands()).job(JOB, within * S), calls_of(Hands()).wait(JOB, within * S)):
        (request,) = requests_of(steps, job_response("completed"))
        assert request == Request("GET", f"/jobs/{JOB}", {"Prefer": asked}, long_poll=wait * S)


@pytest.mark.parametrize(("outcomes", "parameters"), [(True, {}), (False, {"outcomes": "false"})])
def test_events_are_asked_for_after_the_last_one_and_may_be_as_far_apart_as_heartbeats(
    outcomes: bool, parameters: dict[str, str]
) -> None:
    path, accept, reader = f"/jobs/{JOB}/events", {"Accept": "text/event-stream"}, EventReader(lambda _: None)
    steps = calls_of(Hands()).follow(JOB, reader, outcomes)
    request = advance(steps)
    assert request == Request("GET", path, accept, parameters, long_poll=60 * S, take=reader.feed)
    assert request.long_poll > load(environment={}).intake.event_heartbeat
    reader.feed(b"retry: 1500\nid: 7\nevent: heartbeat\ndata: {}\n\n")
    assert advance(steps, Response(200, {"content-type": "text/event-stream"})) == Delay(1.5 * S)
    assert advance(steps) == replace(request, headers={**accept, "Last-Event-ID": "7"})


def test_waiting_without_an_end_asks_for_twenty_seconds_each_time() -> None:
    request = Request("GET", f"/jobs/{JOB}", {"Prefer": "wait=20"}, long_poll=20 * S)
    assert requests_of(calls_of(Hands()).wait(JOB, None), job_response(), job_response("cancelled")) == [request] * 2


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "cancelling"])
def test_a_job_that_is_not_final_in_time_is_reported_with_its_state(state: str) -> None:
    hands = Hands()
    steps = calls_of(hands).wait(JOB, 5 * S)
    advance(steps)
    hands.moment += 5 * S
    with pytest.raises(JobNotFinal) as raised:
        advance(steps, job_response(state))
    text = f"The job is not final yet, but {state}. It continues by itself; wait for it again."
    assert (str(raised.value), raised.value.status) == (text, None)


def test_the_result_of_a_job_that_is_not_final_is_reported_with_what_to_do() -> None:
    with pytest.raises(JobNotFinal) as raised:
        requests_of(calls_of(Hands()).result(JOB, None, 1, None), accepted())
    text = "The job is not final yet. Wait for it: client.wait(job), carecase status JOB --watch"
    assert (str(raised.value), raised.value.status) == (text, 202)


def test_no_more_time_than_is_left_goes_by_between_two_questions() -> None:
    hands = Hands()
    steps = calls_of(hands).job(JOB, 5 * S)
    advance(steps)
    hands.moment += 3 * S
    assert advance(steps, job_response(retry_after="1")) == Delay(1 * S)
    hands.moment += 1 * S
    assert advance(steps) == Request("GET", f"/jobs/{JOB}", {"Prefer": "wait=1"}, long_poll=1 * S)
    assert advance(steps, job_response(retry_after="60")) == Delay(1 * S)


@pytest.mark.parametrize(
    ("honoured", "seconds"), [("wait=1", 0.1), ("wait=20", 0.1), ("wait=0", 9.0), ("respond-async", 9.0), ("", 9.0)]
)
def test_after_a_long_poll_the_next_question_follows_at_once(honoured: str, seconds: float) -> None:
    steps = calls_of(Hands()).wait(JOB, None)
    advance(steps)
    assert advance(steps, job_response(preference_applied=honoured, retry_after="9")) == Delay(seconds * S)


KEYS = ["a", "!", "~", "ab", "a b", "a" * 255, "a" + " " * 253 + "b"]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_a_header_can_carry_is_sent_as_it_is(key: str) -> None:
    calls = calls_of(Hands())
    for steps in (calls.submit(UPLOAD, None, key), calls.retry(JOB, key)):
        assert [request.headers["Idempotency-Key"] for request in requests_of(steps, accepted())] == [key]


@pytest.mark.parametrize("key", ["", "é", "a\nb", " a", "a ", "a" * 256, "a" + " " * 254 + "b", "\0", "\x7f", "a\n"])
def test_a_key_that_no_header_can_carry_is_refused_before_anything_is_sent(key: str) -> None:
    calls = calls_of(Hands())
    for steps in (calls.submit(UPLOAD, None, key), calls.retry(JOB, key)):
        with pytest.raises(RequestRefused) as refused:
            advance(steps)
        text = "The Idempotency-Key must have 1 to 255 ASCII letters, digits and signs. Choose another one."
        assert str(refused.value) == text


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b'{"data": null}', b'{"job": {}}', b'{"data": [{"id": []}]}']
)
def test_an_answer_that_is_no_document_of_the_contract_is_reported(content: bytes) -> None:
    calls, response = calls_of(Hands()), Response(207, {}, content)
    part = batch_of(b"1")
    for steps in (
        calls.submit(UPLOAD, None), calls.job(JOB), calls.wait(JOB, None), calls.result(JOB, None, 1, None),
        calls.jobs(None, None, 1, 1), calls.cancel(JOB), calls.retry(JOB),
        in_turn(calls.validate_part(Batches(1, 1), part, None)),
    ):  # fmt: skip
        with pytest.raises(ServiceUnreachable, match="207: this is not a response of the service"):
            requests_of(steps, response)


def test_the_last_error_is_the_one_that_is_reported() -> None:
    hands = Hands()
    with pytest.raises(ClientError, match="502"):
        requests_of(calls_of(hands, RetryPolicy(tries=2)).job(JOB), problem(503), problem(502), hands=hands)


def test_a_connection_has_five_seconds_and_an_answer_the_time_of_its_long_poll_more() -> None:
    patient, hasty = (Request("GET", "/jobs", long_poll=20 * S, silence=seconds * S) for seconds in (60, 2))
    limits = [transport.arguments(request)["timeout"] for request in (patient, hasty)]
    assert [(limit.connect, limit.read) for limit in limits] == [(5, 80), (2, 22)]


def test_parts_that_are_cut_again_are_sent_in_the_order_of_their_cases() -> None:
    steps = in_turn(calls_of(Hands()).submit_part(Batches(4, 99), batch_of(b"0", b"1", b"2"), None, "run"))
    batches, _ = sent(steps, problem(413), problem(413), *[accepted()] * 3)
    assert [body for _, body in batches] == [b"[0,1,2]", b"[0,1]", b"[0]", b"[1]", b"[2]"]
