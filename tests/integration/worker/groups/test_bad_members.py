"""A batch that is bad costs the others of its group nothing but a second transaction."""

from tests.builders import a_case
from tests.integration.worker.attempts import attempt
from tests.integration.worker.groups.small_batches import Accepted, Transactions

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.cases.outcomes import (
    CANCELLED,
    CREATED,
    NOT_APPLIED,
    OTHER_CARE_PLAN,
    Kind,
    Outcome,
)
from carecase_worker.store.job import State


def test_each_kind_of_bad_batch_costs_the_others_nothing_but_a_second_transaction(accepted: Accepted) -> None:
    wrong = accepted.accept(a_case(1, case_Status="too long for it"), a_case(2))
    unreadable = accepted.accept(a_case(3), payload=b"\xff of a form that is not known here")
    cancelled = accepted.accept(a_case(4))
    accepted.store.jobs.cancel(cancelled)
    strict = accepted.accept(a_case(5), a_case(6, case_Status="too long for it"), strict=True)
    fine = accepted.accept(a_case(7), strict=True)
    accepted.targets.step = commits = Transactions()
    accepted.attempt()
    invalid = Outcome(Kind.INVALID, "case_Status: must have at most 8 characters")
    assert accepted.told(wrong) == [invalid, CREATED]
    assert accepted.told(cancelled) == [CANCELLED]
    assert accepted.told(strict) == [NOT_APPLIED, invalid]
    assert accepted.told(fine) == [CREATED]
    assert accepted.store.jobs.job(cancelled).state is State.CANCELLED
    assert accepted.store.jobs.job(unreadable).state is State.WAITING, "for a worker that can read it"
    assert commits.count == 1


def test_the_reason_of_one_that_goes_alone_is_reported_though_the_next_one_is_applied(accepted: Accepted) -> None:
    accepted.accept(a_case(9, carePlan_Key=6))
    accepted.attempt()
    accepted.accept(a_case(1), care_plan=5)
    accepted.accept(a_case(2), care_plan=5, payload=b"\xff of a form that is not known here")
    strict = accepted.accept(a_case(3), a_case(9), strict=True, care_plan=5)
    applied = attempt(accepted.store, accepted.targets, ChunkRef(accepted.jobs[1], 0), "worker")
    assert accepted.told(strict) == [NOT_APPLIED, OTHER_CARE_PLAN]
    assert applied.reason == "unreadable"
