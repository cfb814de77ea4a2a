"""Every reason to refuse a request has its row in the table of problems."""

import pytest

from carecase_worker.errors import AccessFault, AccessRefused, BatchFault, BatchRefused
from carecase_worker.intake.http.problems import problem_of


@pytest.mark.parametrize("fault", BatchFault)
def test_each_fault_of_a_batch_is_a_problem_of_the_client(fault: BatchFault) -> None:
    problem = problem_of(BatchRefused(fault, "the text"))
    assert 400 <= problem.status < 500
    assert (problem.kind, problem.detail) == (fault.value, "the text")


@pytest.mark.parametrize("fault", AccessFault)
def test_each_fault_of_a_caller_is_401_or_403(fault: AccessFault) -> None:
    assert problem_of(AccessRefused(fault, "the text")).status in (401, 403)
