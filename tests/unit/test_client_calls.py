"""The client's calls without a service: which answers lead to which steps."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from carecase_worker.client.calls import Calls
from carecase_worker.client.documents import ItemResult, Job
from carecase_worker.client.steps import Answer, Delay, NoAnswer, Reply, Request, Result, Steps, advance
from carecase_worker.client.uploads import Upload
from carecase_worker.client.verdicts import Done, GiveUp, Patience, TryAgain, judge
from carecase_worker.errors import (
    CallerRefused,
    ClientError,
    JobNotFinal,
    JobStateRefused,
    JobUnknown,
    RequestRefused,
    ServiceBusy,
    ServiceUnreachable,
)

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
JOB = "0199c0de-0000-7000-8000-000000000001"
UPLOAD = Upload(lambda: iter([b"[]"]))
LOST = NoAnswer("ReadError")


class Hands:
    """A clock that moves with the delays, dice that always roll the same, ids that are counted."""

    def __init__(self, roll: float = 0.0) -> None:
        self.moment = NOW
        self._roll = roll
        self._ids = 0

    def now(self) -> datetime:
        return self.moment

    def roll(self) -> float:
        return self._roll

    def new_id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids)


def calls_of(hands: Hands, patience: Patience = Patience()) -> Calls:  # noqa: B008  # frozen
    return Calls("demo", hands, hands, hands.new_id, patience)


def job(state: str = "running", **members: Any) -> dict[str, Any]:
    counts = {"total": 3, "processed": 0, "created": 0, "updated": 0, "superseded": 0, "failed": 0, "cancelled": 0}
    return {
        "jobId": JOB,
        "state": state,
        "database": "demo",
        "carePlanKey": None,
        **counts,
        "futureMember": 1,
        **members,
    }


def told(state: str = "running", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(200, named, json.dumps({"data": job(state), "error": None, "debug": {}}).encode())


def accepted() -> Answer:
    body = {"data": None, "error": None, "debug": {"activityID": JOB}, "job": job("queued")}
    return Answer(202, {}, json.dumps(body).encode())


def problem(status: int, detail: str = "So it is.", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"data": None, "error": {"status": status, "detail": detail}, "debug": {"activityID": "a-1"}}
    return Answer(status, named, json.dumps(body).encode())


def result(*items: dict[str, Any], page: tuple[int, int] | None = None) -> Answer:
    headers = (
        {"x-pagination": json.dumps({"TotalCount": 9, "TotalPages": page[1], "CurrentPage": page[0]})} if page else {}
    )
    return Answer(207, headers, json.dumps({"data": items, "error": None}).encode())


def item(key: int | None, status: int, body: str, **members: Any) -> dict[str, Any]:
    return {"id": [{"key": "case_Key", "value": key}], "status": status, "body": body, **members}


def play(steps: Steps[Any], replies: Iterable[Reply], hands: Hands) -> tuple[list[Request | Delay], Any]:
    """The steps that a call takes when its requests get these replies, and what it comes to."""
    taken: list[Request | Delay] = []
    left = list(replies)
    step = advance(steps)
    while not isinstance(step, Result):
        taken.append(step)
        if isinstance(step, Delay):
            hands.moment += step.duration
            step = advance(steps)
        else:
            step = advance(steps, left.pop(0))
    assert not left
    return taken, step.value


def delays(steps: Iterable[Request | Delay]) -> list[float]:
    return [step.duration.total_seconds() for step in steps if isinstance(step, Delay)]


@pytest.mark.parametrize(
    ("reply", "tried", "roll", "seconds"),
    [
        (LOST, 1, 0.0, 0.25),
        (LOST, 1, 1.0, 0.5),
        (LOST, 2, 0.0, 0.5),
        (LOST, 3, 1.0, 2.0),
        (LOST, 5, 1.0, 8.0),
        (problem(502), 1, 0.0, 0.25),
        (problem(504), 4, 0.5, 3.0),
        (Answer(503, {}, b"<html>"), 1, 0.0, 0.25),
        (problem(503, retry_after="5"), 1, 0.0, 5.0),
        (problem(503, retry_after="5"), 4, 1.0, 5.5),
        (problem(429, retry_after="60"), 1, 0.0, 60.0),
        (problem(429, retry_after="0"), 1, 0.0, 0.0),
        (problem(429, retry_after="soon"), 1, 0.0, 0.25),
        (problem(429, retry_after="Wed, 25 Nov 2026 08:00:07 GMT"), 1, 0.0, 7.0),
        (problem(429, retry_after="Wed, 25 Nov 2026 07:00:00 GMT"), 1, 0.0, 0.0),
    ],
)
def test_what_may_pass_is_tried_again(reply: Answer | NoAnswer, tried: int, roll: float, seconds: float) -> None:
    assert judge(reply, tried, Patience(), roll, NOW) == TryAgain(timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("reply", "tried", "kind", "words"),
    [
        (problem(400), 1, RequestRefused, "400: So it is."),
        (problem(401), 1, CallerRefused, "API key"),
        (problem(403), 1, CallerRefused, "database"),
        (problem(404), 1, JobUnknown, "id"),
        (problem(409), 1, JobStateRefused, "409: So it is."),
        (problem(410), 1, JobUnknown, "410: So it is."),
        (problem(413), 1, RequestRefused, "smaller batches"),
        (problem(415), 1, RequestRefused, "415"),
        (problem(422), 1, RequestRefused, "422"),
        (problem(500), 1, ServiceBusy, "activityID a-1"),
        (Answer(404, {}, b"<html>"), 1, ServiceUnreachable, "not an answer of the service"),
        (Answer(301, {}, b""), 1, ServiceUnreachable, "URL"),
        (LOST, 6, ServiceUnreachable, "ReadError"),
        (problem(503, retry_after="1"), 6, ServiceBusy, "503: So it is."),
        (Answer(502, {}, b""), 6, ServiceBusy, "502"),
        (problem(503, retry_after="121"), 1, ServiceBusy, "503"),
    ],
)
def test_what_will_not_pass_is_given_up(
    reply: Answer | NoAnswer, tried: int, kind: type[ClientError], words: str
) -> None:
    verdict = judge(reply, tried, Patience(), 0.0, NOW)
    assert isinstance(verdict, GiveUp)
    assert type(verdict.error) is kind
    assert words in str(verdict.error)
    assert verdict.error.status == (reply.status if isinstance(reply, Answer) else None)


@pytest.mark.parametrize("status", [200, 202, 207, 299])
def test_any_2xx_is_success(status: int) -> None:
    assert judge(Answer(status), 6, Patience(), 0.0, NOW) == Done(Answer(status))


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
        play(calls_of(hands, Patience(tries=3)).job(JOB), [LOST] * 3, hands)


def test_what_is_no_document_of_the_contract_is_told() -> None:
    for content in (b"", b"<html>", b"[]", b'{"data": null}', b'{"data": {"jobId": 5}}'):
        with pytest.raises(ServiceUnreachable):
            play(calls_of(Hands()).job(JOB), [Answer(200, {}, content)], Hands())


@pytest.mark.parametrize(
    ("answers", "waits"),
    [
        ([told("completed")], []),
        ([told(), told("completed")], [1.0]),
        ([told(retry_after="7"), told(retry_after="2"), told("cancelled")], [7.0, 2.0]),
        ([told(preference_applied="wait=20", retry_after="7"), told("completed")], [0.1]),
        ([told(preference_applied="respond-async"), told("completed")], [1.0]),
        ([LOST, problem(503, retry_after="3"), told("completed")], [0.25, 3.0]),
    ],
)
def test_waiting_polls_as_the_service_asks(answers: list[Reply], waits: list[float]) -> None:
    hands = Hands()
    steps, last = play(calls_of(hands).wait(JOB, None), answers, hands)
    assert delays(steps) == waits
    assert last.final
    assert all(step.headers["Prefer"] == "wait=20" for step in steps if isinstance(step, Request))


def test_waiting_has_an_end() -> None:
    hands = Hands()
    steps = calls_of(hands).wait(JOB, timedelta(seconds=10))
    first = advance(steps)
    assert isinstance(first, Request)
    assert first.headers["Prefer"] == "wait=10"
    assert advance(steps, told(retry_after="60")) == Delay(timedelta(seconds=10))
    hands.moment += timedelta(seconds=10)
    second = advance(steps)
    assert isinstance(second, Request)
    assert second.headers["Prefer"] == "wait=0"
    with pytest.raises(JobNotFinal, match="running"):
        advance(steps, told())


def test_a_job_can_be_asked_for_within_a_time() -> None:
    hands = Hands()
    (request,), now = play(calls_of(hands).job(JOB), [told()], hands)
    assert isinstance(request, Request)
    assert (dict(request.headers), now.final) == ({}, False)
    steps, still = play(calls_of(hands).job(JOB, timedelta(seconds=1)), [told(retry_after="9"), told()], hands)
    assert (delays(steps), still.final) == ([1.0], False)
    steps, final = play(calls_of(hands).job(JOB, timedelta(seconds=1)), [told("completed")], hands)
    assert (len(steps), final.final) == (1, True)


def test_a_result_is_told_page_by_page() -> None:
    calls, hands = calls_of(Hands()), Hands()
    (request,), page = play(
        calls.result(JOB, "failed", 2, 100), [result(item(7, 422, "no", index=250), page=(2, 3))], hands
    )
    assert isinstance(request, Request)
    assert request.path == f"/jobs/{JOB}/result"
    assert request.parameters == {"page": "2", "pageSize": "100", "outcome": "failed"}
    assert (list(page.elements), page.next) == ([ItemResult(250, 7, 422, "no")], 3)
    _, last = play(calls.result(JOB, "failed", 3, 100), [result(page=(3, 3))], hands)
    assert last.next is None
    _, none = play(calls.result(JOB, "failed", 1, 100), [result(page=(1, 0))], hands)
    assert none.next is None


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


def test_the_result_of_a_job_that_goes_on_is_not_there() -> None:
    with pytest.raises(JobNotFinal):
        play(calls_of(Hands()).result(JOB, None, 1, None), [accepted()], Hands())


def test_jobs_are_listed_and_filtered() -> None:
    pagination = {"x-pagination": '{"TotalCount":1,"TotalPages":1,"CurrentPage":1,"PageSize":50}'}
    answer = Answer(200, pagination, json.dumps({"data": [job(), job("completed")]}).encode())
    (request,), page = play(calls_of(Hands()).jobs("running", None, 1, 50), [answer], Hands())
    assert isinstance(request, Request)
    assert request.parameters == {"state": "running", "page": "1", "pageSize": "50"}
    assert [one.state for one in page.elements] == ["running", "completed"]


def test_cancel_and_retry() -> None:
    hands = Hands()
    (cancel,), _ = play(calls_of(hands).cancel("a/b"), [accepted()], hands)
    assert isinstance(cancel, Request)
    assert (cancel.method, cancel.path) == ("DELETE", "/jobs/a%2Fb")
    steps, again = play(calls_of(hands).retry(JOB), [LOST, accepted()], hands)
    requests = [step for step in steps if isinstance(step, Request)]
    assert [(one.method, one.path) for one in requests] == [("POST", f"/jobs/{JOB}/retry")] * 2
    assert len({one.headers["Idempotency-Key"] for one in requests}) == 1
    assert isinstance(again, Job)


def test_a_job_reads_as_the_contract_has_it() -> None:
    answer = json.dumps({"data": job("completed", failed=1, submittedAt="2026-11-25T08:00:00.123Z")}).encode()
    _, read = play(calls_of(Hands()).job(JOB), [Answer(200, {}, answer)], Hands())
    assert read.submitted_at == NOW.replace(microsecond=123_000)
    assert (read.final, read.applied) == (True, False)
    assert {"jobId", "carePlanKey", "bodySha256", "submittedAt"} <= set(read.document())


def test_a_call_is_given_up_once_it_is_in_trouble_for_too_long() -> None:
    hands = Hands()
    patience = Patience(tries=1000, silence=timedelta(seconds=4), within=timedelta(seconds=10))
    with pytest.raises(ServiceUnreachable):
        play(calls_of(hands, patience).job(JOB), [LOST] * 20, hands)
    assert timedelta(seconds=3) < hands.moment - NOW <= timedelta(seconds=10)


def test_silence_counts_as_trouble() -> None:
    hands = Hands()
    patience = Patience(silence=timedelta(seconds=10), within=timedelta(seconds=10))
    with pytest.raises(ServiceUnreachable):
        play(calls_of(hands, patience).job(JOB), [NoAnswer("ReadTimeout", timedelta(seconds=10))], hands)


def test_a_service_that_wants_more_time_than_there_is_is_not_waited_for() -> None:
    hands = Hands()
    with pytest.raises(ServiceBusy, match="503"):
        play(calls_of(hands, Patience(within=timedelta(seconds=30))).job(JOB), [problem(503, retry_after="60")], hands)


def test_time_in_which_all_is_well_does_not_count() -> None:
    hands = Hands()
    steps = calls_of(hands, Patience(within=timedelta(seconds=3))).wait(JOB, None)
    replies: list[Reply] = []
    for _ in range(20):
        replies += [LOST, told(retry_after="2")]
    taken, _ = play(steps, [*replies, told("completed")], hands)
    assert sum(delays(taken)) > 3
    assert all(step.silence == timedelta(seconds=60) for step in taken if isinstance(step, Request))
    assert {step.reason for step in taken if isinstance(step, Delay)} == {
        "",
        "There is no answer (ReadError). Check the URL, and whether the service runs.",
    }


@pytest.mark.parametrize("key", ["", "é", "a\nb", " a", "a ", "a" * 256, "\0"])
def test_a_key_that_no_header_can_carry_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(RequestRefused, match="Idempotency-Key must have"):
        next(calls_of(Hands()).retry(JOB, key))
