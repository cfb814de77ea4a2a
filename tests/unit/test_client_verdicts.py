"""What the client makes of each answer: done, try again after so long, or give up and say what to do."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecase_worker.client.exchange.steps import NoResponse, Response
from carecase_worker.client.exchange.verdicts import (
    Done,
    GiveUp,
    RetryPolicy,
    TryAgain,
    next_step,
    retry_after,
    unreadable,
)
from carecase_worker.errors import (
    CallerRefused,
    ClientError,
    JobStateRefused,
    JobUnknown,
    RequestRefused,
    ServiceBusy,
    ServiceUnreachable,
)

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
LOST = NoResponse("ReadError")
S = timedelta(seconds=1)


def problem(status: int, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"data": None, "error": {"status": status, "detail": "So it is."}, "debug": {"activityID": "a-1"}}
    return Response(status, named, json.dumps(body).encode())


REFUSALS = {
    # of the contract: what a caller gets for it, and what is said beside the service's own words
    400: (RequestRefused, ""),
    401: (CallerRefused, " Check the API key and the token."),
    403: (CallerRefused, " Check the database's name, and what this client may use."),
    404: (JobUnknown, " Check the job's id and the URL, and whether the same API key sent it."),
    405: (RequestRefused, ""),
    406: (RequestRefused, ""),
    408: (ServiceBusy, ""),
    409: (JobStateRefused, ""),
    410: (JobUnknown, ""),
    413: (RequestRefused, " Send it in smaller batches."),
    415: (RequestRefused, ""),
    422: (RequestRefused, ""),
    431: (RequestRefused, ""),
    500: (ServiceBusy, " (activityID a-1)"),
    501: (ServiceBusy, " (activityID a-1)"),
    507: (ServiceBusy, " (activityID a-1)"),
}
PASSING = {
    429: (ServiceBusy, ""),
    502: (ServiceBusy, " (activityID a-1)"),
    503: (ServiceBusy, " (activityID a-1)"),
    504: (ServiceBusy, " (activityID a-1)"),
}


def error_of(verdict: object) -> tuple[type[ClientError], str, int | None]:
    assert isinstance(verdict, GiveUp), verdict
    return type(verdict.error), str(verdict.error), verdict.error.status


@pytest.mark.parametrize("status", REFUSALS)
def test_what_will_not_pass_is_given_up_at_once(status: int) -> None:
    kind, advice = REFUSALS[status]
    error = error_of(next_step(problem(status, retry_after="1"), 1, RetryPolicy(), 0.0, NOW))
    assert error == (kind, f"{status}: So it is.{advice}", status)


@pytest.mark.parametrize("status", [301, 304, 400, 401, 404, 413, 500, 507])
@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"error": null}', b'{"error": {}}', b'{"error": "x"}'])
def test_an_answer_of_another_service_is_reported_as_that(status: int, content: bytes) -> None:
    error = error_of(next_step(Response(status, {}, content), 1, RetryPolicy(), 0.0, NOW))
    assert error == (ServiceUnreachable, f"{status}: this is not a response of the service. Check the URL.", status)


def test_an_answer_that_cannot_be_read_is_reported_as_one_of_another_service() -> None:
    error = error_of(GiveUp(unreadable(Response(207))))
    assert error == (ServiceUnreachable, "207: this is not a response of the service. Check the URL.", 207)


@pytest.mark.parametrize("status", PASSING)
def test_what_may_pass_is_tried_again_until_the_last_try(status: int) -> None:
    kind, advice = PASSING[status]
    for tried in range(1, 6):
        assert isinstance(next_step(problem(status), tried, RetryPolicy(), 0.0, NOW), TryAgain)
    for tried in (6, 7):
        error = error_of(next_step(problem(status), tried, RetryPolicy(), 0.0, NOW))
        assert error == (kind, f"{status}: So it is.{advice}", status)


@pytest.mark.parametrize("status", PASSING)
def test_what_a_proxy_says_of_a_service_that_is_away_may_pass(status: int) -> None:
    response = Response(status, {"retry-after": "3"}, b"<html>")
    assert next_step(response, 5, RetryPolicy(), 0.0, NOW) == TryAgain(3 * S)
    error = error_of(next_step(response, 6, RetryPolicy(), 0.0, NOW))
    assert error == (ServiceBusy, f"{status}: the service is overloaded or unavailable. Try again later.", status)


def test_no_answer_is_tried_again_until_the_last_try() -> None:
    text = "There is no response (ReadError). Check the URL, and whether the service runs."
    verdict = next_step(LOST, 5, RetryPolicy(), 1.0, NOW)
    assert isinstance(verdict, TryAgain)
    assert verdict.reason == text
    assert error_of(next_step(LOST, 6, RetryPolicy(), 1.0, NOW)) == (ServiceUnreachable, text, None)


@pytest.mark.parametrize("status", range(200, 300))
def test_any_2xx_is_success(status: int) -> None:
    assert next_step(Response(status), 6, RetryPolicy(), 0.0, NOW) == Done(Response(status))


@pytest.mark.parametrize("status", [100, 199, 300, 399, 600])
def test_nothing_else_is_success(status: int) -> None:
    assert isinstance(next_step(Response(status), 1, RetryPolicy(), 0.0, NOW), GiveUp)


@pytest.mark.parametrize(
    ("tried", "most"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 16.0), (7, 30.0), (8, 30.0), (99, 30.0)]
)
def test_the_delay_doubles_up_to_thirty_seconds_and_half_of_it_is_chance(tried: int, most: float) -> None:
    for roll in (0.0, 0.5, 1.0):
        verdict = next_step(LOST, tried, RetryPolicy(tries=100), roll, NOW)
        assert verdict == TryAgain(timedelta(seconds=most * (1 + roll) / 2))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("1", 1),
        (" 5 ", 5),
        ("60", 60),
        ("999999999", 999_999_999),
        ("9" * 40, 999_999_999),
        ("Wed, 25 Nov 2026 08:00:07 GMT", 7),
        ("Wed, 25 Nov 2026 09:00:00 +0100", 0),
        ("Wed, 25 Nov 2026 07:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("Wed, 25 Nov 2026 08:00:07", None),
    ],
)
def test_retry_after_is_whole_seconds_or_a_date(header: str, seconds: int | None) -> None:
    want = None if seconds is None else seconds * S
    assert retry_after(Response(503, {"retry-after": header}), NOW) == want


def test_without_a_retry_after_nobody_asks_for_a_delay() -> None:
    assert retry_after(Response(503), NOW) is None
    assert retry_after(LOST, NOW) is None


@pytest.mark.parametrize("tried", [1, 5])
@pytest.mark.parametrize(("header", "roll", "seconds"), [("0", 0, 0), ("5", 0, 5), ("5", 1, 5.5), ("120", 1, 120.5)])
def test_what_the_service_asks_for_counts_with_half_a_second_of_chance(
    tried: int, header: str, roll: float, seconds: float
) -> None:
    for status in PASSING:
        assert next_step(problem(status, retry_after=header), tried, RetryPolicy(), roll, NOW) == TryAgain(seconds * S)


def test_what_is_asked_for_is_not_waited_for_beyond_the_latest() -> None:
    policy = RetryPolicy(latest=10 * S)
    assert next_step(problem(503, retry_after="10"), 1, policy, 1.0, NOW) == TryAgain(10.5 * S)
    assert isinstance(next_step(problem(503, retry_after="11"), 1, policy, 0.0, NOW), GiveUp)
    assert isinstance(next_step(problem(503, retry_after="121"), 1, RetryPolicy(), 0.0, NOW), GiveUp)


@pytest.mark.parametrize(("spent", "again"), [(0.0, True), (4.5, True), (4.501, False), (60.0, False)])
def test_a_call_is_in_trouble_no_longer_than_within(spent: float, again: bool) -> None:
    policy = RetryPolicy(within=5 * S)
    assert isinstance(next_step(LOST, 1, policy, 1.0, NOW, spent * S), TryAgain if again else GiveUp)
    asked = next_step(problem(503, retry_after="3"), 1, policy, 0.0, NOW, (spent - 2.5) * S)
    assert isinstance(asked, TryAgain if again else GiveUp)


def test_the_usual_patience() -> None:
    """As the documentation of the client has it."""
    assert RetryPolicy() == RetryPolicy(6, 0.5 * S, 30 * S, 120 * S, 60 * S, 900 * S)


@given(st.integers(1, 6), st.floats(0, 1), st.sampled_from(sorted(PASSING)), st.integers(0, 200), st.integers(0, 1000))
def test_no_delay_is_negative_or_outlasts_the_patience(
    tried: int, roll: float, status: int, asked: int, spent: int
) -> None:
    policy = RetryPolicy()
    for reply in (LOST, problem(status), problem(status, retry_after=str(asked))):
        match next_step(reply, tried, policy, roll, NOW, spent * S):
            case TryAgain(after):
                assert timedelta() <= after <= policy.latest + S / 2
                assert tried < policy.tries
                assert after + spent * S <= policy.within
