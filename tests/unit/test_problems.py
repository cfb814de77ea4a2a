"""Every reason to refuse a request has its row in the table of problems."""

from datetime import timedelta

import pytest

from carecase_worker.errors import AccessFault, AccessRefused, BatchFault, BatchRefused, RateExceeded
from carecase_worker.intake.http.problems import problem_of, problem_of_status


@pytest.mark.parametrize("fault", BatchFault)
def test_each_fault_of_a_batch_is_a_problem_of_the_client(fault: BatchFault) -> None:
    problem = problem_of(BatchRefused(fault, "the text"))
    assert 400 <= problem.status < 500
    assert (problem.kind, problem.detail) == (fault.value, "the text")


@pytest.mark.parametrize("fault", AccessFault)
def test_each_fault_of_a_caller_is_401_or_403(fault: AccessFault) -> None:
    assert problem_of(AccessRefused(fault, "the text")).status in (401, 403)


@pytest.mark.parametrize(("seconds", "retry_after"), [(0, "1"), (0.2, "1"), (1, "1"), (1.2, "2"), (59.5, "60")])
def test_who_comes_again_after_retry_after_does_not_come_too_early(seconds: float, retry_after: str) -> None:
    problem = problem_of(RateExceeded(timedelta(seconds=seconds), "the text"))
    assert (problem.status, problem.headers["Retry-After"]) == (429, retry_after)


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (400, "This is not an HTTP request that the service understands."),
        (404, "There is nothing at this path."),
        (408, "The request took too long to arrive. Send it again."),
        (431, "The request line and headers are too large. Send fewer or shorter headers."),
        (503, "Too many connections are open at the moment. Send the request again later."),
    ],
)
def test_what_the_connection_refuses_says_what_to_do(status: int, detail: str) -> None:
    problem = problem_of_status(status)
    assert (problem.status, problem.kind, problem.detail) == (status, f"http-{status}", detail)
    assert problem.headers == ({"Retry-After": "5"} if status == 503 else {})
