"""The client's calls without a service: which answers lead to which steps."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.client_answers import (
    JOB,
    LOST,
    NOW,
    UPLOAD,
    Hands,
    accepted,
    calls_of,
    delays,
    item,
    job_response,
    play,
    problem,
    result,
)

from carecase_worker.client.documents import Job
from carecase_worker.client.exchange.steps import Delay, NoResponse, Reply, Request
from carecase_worker.client.exchange.verdicts import RetryPolicy
from carecase_worker.errors import JobUnknown, ServiceBusy, ServiceUnreachable


def test_every_try_of_a_batch_has_the_same_idempotency_key() -> None:
    hands = Hands()
    steps, made = play(
        calls_of(hands).submit(UPLOAD, 5), [LOST, problem(503, retry_after="2"), problem(429), accepted()], hands
    )
    requests = [step for step in steps if isinstance(step, Request)]
    assert {request.headers["Idempotency-Key"] for request in requests} == {str(UUID(int=1))}
    assert [request.path for request in requests] == ["/care-plans/5/cases-batch"] * 4
    assert requests[0].headers["vbasoftware-database"] == "demo"
    assert delays(steps) == [0.25, 2.0, 1.0]
    assert (made.job_id, made.state, made.final) == (JOB, "queued", False)
    (other, *_), _ = play(calls_of(Hands()).submit(UPLOAD, None, "mine"), [accepted()], hands)
    assert isinstance(other, Request)
    assert (other.path, other.headers["Idempotency-Key"]) == ("/care-cases-batch", "mine")


def test_after_the_last_try_the_error_is_raised() -> None:
    hands = Hands()
    with pytest.raises(ServiceUnreachable):
        play(calls_of(hands, RetryPolicy(tries=3)).job(JOB), [LOST] * 3, hands)


@pytest.mark.parametrize(
    ("responses", "waits"),
    [
        ([job_response("completed")], []),
        ([job_response(), job_response("completed")], [1.0]),
        ([job_response(retry_after="7"), job_response(retry_after="2"), job_response("cancelled")], [7.0, 2.0]),
        ([job_response(preference_applied="wait=20", retry_after="7"), job_response("completed")], [0.1]),
        ([job_response(preference_applied="respond-async"), job_response("completed")], [1.0]),
        ([LOST, problem(503, retry_after="3"), job_response("completed")], [0.25, 3.0]),
    ],
)
def test_waiting_polls_as_the_service_asks(responses: list[Reply], waits: list[float]) -> None:
    hands = Hands()
    steps, last = play(calls_of(hands).wait(JOB, None), responses, hands)
    assert delays(steps) == waits
    assert last.final
    assert all(step.headers["Prefer"] == "wait=20" for step in steps if isinstance(step, Request))


def test_a_job_can_be_asked_for_within_a_time() -> None:
    hands = Hands()
    (request,), now = play(calls_of(hands).job(JOB), [job_response()], hands)
    assert isinstance(request, Request)
    assert (dict(request.headers), now.final) == ({}, False)
    steps, still = play(
        calls_of(hands).job(JOB, timedelta(seconds=1)), [job_response(retry_after="9"), job_response()], hands
    )
    assert (delays(steps), still.final) == ([1.0], False)
    steps, final = play(calls_of(hands).job(JOB, timedelta(seconds=1)), [job_response("completed")], hands)
    assert (len(steps), final.final) == (1, True)


ALL = (
    item(1, 201, "Created"),
    item(2, 200, "Updated"),
    item(2, 200, "Superseded"),
    item(None, 422, "case_Key: is required"),
    item(5, 409, "Cancelled"),
    item(6, 409, "carePlan_Key: the case exists under another care plan"),
    item(7, 500, "no"),
    item(8, 503, "away"),
)


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (None, range(8)),
        ("created", [0]),
        ("updated", [1]),
        ("superseded", [2]),
        ("cancelled", [4]),
        ("failed", [3, 5, 6, 7]),
    ],
)
def test_a_service_that_knows_no_pages_and_filters_is_understood(wanted: Any, places: Iterable[int]) -> None:
    _, page = play(calls_of(Hands()).result(JOB, wanted, 1, 100), [result(*ALL)], Hands())
    assert [element.index for element in page.elements] == list(places)
    assert page.next is None


def test_every_try_of_a_retry_has_the_same_idempotency_key() -> None:
    hands = Hands()
    steps, again = play(calls_of(hands).retry(JOB), [LOST, accepted()], hands)
    requests = [step for step in steps if isinstance(step, Request)]
    assert [(one.method, one.path) for one in requests] == [("POST", f"/jobs/{JOB}/retry")] * 2
    assert len({one.headers["Idempotency-Key"] for one in requests}) == 1
    assert isinstance(again, Job)


def test_a_purge_whose_answer_was_lost_has_succeeded_and_one_of_a_job_that_never_was_has_not() -> None:
    hands = Hands()
    steps, _ = play(calls_of(hands).purge(JOB), [LOST, problem(410)], hands)
    requests = [step for step in steps if isinstance(step, Request)]
    assert [(one.method, one.parameters) for one in requests] == [("DELETE", {"purge": "true"})] * 2
    with pytest.raises(JobUnknown, match="Check the job's id and the URL"):
        play(calls_of(hands).purge(JOB), [problem(404)], hands)


def test_a_call_is_given_up_once_it_is_in_trouble_for_too_long() -> None:
    hands = Hands()
    policy = RetryPolicy(tries=1000, silence=timedelta(seconds=4), within=timedelta(seconds=10))
    with pytest.raises(ServiceUnreachable):
        play(calls_of(hands, policy).job(JOB), [LOST] * 20, hands)
    assert timedelta(seconds=3) < hands.moment - NOW <= timedelta(seconds=10)


def test_silence_counts_as_trouble() -> None:
    hands = Hands()
    policy = RetryPolicy(silence=timedelta(seconds=10), within=timedelta(seconds=10))
    with pytest.raises(ServiceUnreachable):
        play(calls_of(hands, policy).job(JOB), [NoResponse("ReadTimeout", timedelta(seconds=10))], hands)


def test_a_service_that_wants_more_time_than_there_is_is_not_waited_for() -> None:
    hands = Hands()
    with pytest.raises(ServiceBusy, match="503"):
        play(
            calls_of(hands, RetryPolicy(within=timedelta(seconds=30))).job(JOB), [problem(503, retry_after="60")], hands
        )


def test_time_in_which_all_is_well_does_not_count() -> None:
    hands = Hands()
    steps = calls_of(hands, RetryPolicy(within=timedelta(seconds=3))).wait(JOB, None)
    replies: list[Reply] = []
    for _ in range(20):
        replies += [LOST, job_response(retry_after="2")]
    taken, _ = play(steps, [*replies, job_response("completed")], hands)
    assert sum(delays(taken)) > 3
    assert all(step.silence == timedelta(seconds=60) for step in taken if isinstance(step, Request))
    assert {step.reason for step in taken if isinstance(step, Delay)} == {
        "",
        "There is no response (ReadError). Check the URL, and whether the service runs.",
    }
