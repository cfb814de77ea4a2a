"""A batch that is bad costs the others of its group nothing but a second transaction."""

from itertools import count
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.builders import a_case
from tests.integration.worker.attempts import SteppedStore, SteppedTargets, an_applier, attempt
from tests.integration.worker.groups.small_batches import Accepted, Steps, Transactions, no_time_goes_by

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.cases.outcomes import (
    CANCELLED,
    CREATED,
    NOT_APPLIED,
    OTHER_CARE_PLAN,
    WOULD_CREATE,
    Kind,
    Outcome,
)
from carecase_worker.errors import StoreUnavailable
from carecase_worker.store.job import State
from carecase_worker.worker.attempts.group import Member, members_of, run_group


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
    assert accepted.outcomes_of(wrong) == [invalid, CREATED]
    assert accepted.outcomes_of(cancelled) == [CANCELLED]
    assert accepted.outcomes_of(strict) == [NOT_APPLIED, invalid]
    assert accepted.outcomes_of(fine) == [CREATED]
    assert accepted.store.jobs.job(cancelled).state is State.CANCELLED
    assert accepted.store.jobs.job(unreadable).state is State.WAITING, "for a worker that can read it"
    assert commits.count == 1


@pytest.mark.parametrize("cancels_first", [True, False])
def test_a_cancelled_batch_leaves_the_others_in_their_care_plan(accepted: Accepted, cancels_first: bool) -> None:
    """A case of another care plan would be moved into it."""
    accepted.accept(a_case(9, carePlan_Key=6))
    accepted.attempt()
    one, two = (accepted.accept(a_case(9), a_case(key), care_plan=5) for key in (1, 2))
    cancelled, applied = (one, two) if cancels_first else (two, one)
    accepted.store.jobs.cancel(cancelled)
    accepted.targets.step = commits = Transactions()
    accepted.attempt(number=1)
    assert commits.count == 1
    assert accepted.outcomes_of(cancelled) == [CANCELLED] * 2
    assert accepted.outcomes_of(applied) == [OTHER_CARE_PLAN, CREATED]
    assert accepted.targets.rows("SELECT careplan_key FROM care_case WHERE case_key = 9") == [(6,)]


def test_the_reason_of_one_that_goes_alone_is_reported_though_the_next_one_is_applied(accepted: Accepted) -> None:
    accepted.accept(a_case(9, carePlan_Key=6))
    accepted.attempt()
    accepted.accept(a_case(1), care_plan=5)
    accepted.accept(a_case(2), care_plan=5, payload=b"\xff of a form that is not known here")
    strict = accepted.accept(a_case(3), a_case(9), strict=True, care_plan=5)
    applied = attempt(
        accepted.store, accepted.targets, ChunkRef(accepted.jobs[1], 0), "worker", seconds=no_time_goes_by
    )
    assert accepted.outcomes_of(strict) == [NOT_APPLIED, OTHER_CARE_PLAN]
    assert applied.reason == "unreadable"


def test_a_group_of_bad_batches_alone_does_not_ask_the_database(accepted: Accepted) -> None:
    jobs = [accepted.accept(a_case(key), payload=b"\xff of a form that is not known here") for key in (1, 2)]
    accepted.targets.step = steps = Steps()
    assert accepted.attempt() == "released: unreadable"
    assert {accepted.store.jobs.job(job).state for job in jobs} == {State.WAITING}
    assert steps.reached == []


def test_while_the_store_is_away_what_goes_alone_is_left_for_the_sweep(accepted: Accepted) -> None:
    """What was applied before is told, and what was being completed is in the ledger."""
    accepted.accept(a_case(9, carePlan_Key=6))
    accepted.attempt()
    fine = accepted.accept(a_case(8), care_plan=5)
    strict = [accepted.accept(a_case(key), a_case(9), strict=True, care_plan=5) for key in (1, 2, 3)]
    completed = count()

    def away(reached: str) -> None:
        if reached == "before complete" and next(completed) > 1:
            raise StoreUnavailable("the job store is away")

    with capture_logs() as logs:
        store = SteppedStore(accepted.store, away)
        applied = attempt(store, accepted.targets, ChunkRef(fine, 0), "worker", seconds=no_time_goes_by)
    assert (applied.verdict, applied.items) == ("kept", 3)
    assert [(line["reason"], line["count"]) for line in logs if line["event"] == "chunks left for the sweep"] == [
        ("the job store is away", 2)
    ]
    assert accepted.outcomes_of(fine) == [CREATED]
    assert [accepted.store.jobs.job(job).state.final for job in strict] == [True, False, False]
    accepted.finish()
    assert [accepted.outcomes_of(job) for job in strict] == [[NOT_APPLIED, OTHER_CARE_PLAN]] * 3


def leased(accepted: Accepted, *jobs: str) -> list[Member]:
    """Batches that are made a group, whether or not the job store would have made one of them."""
    refs = [ChunkRef(job, 0) for job in jobs]
    return members_of(tuple((ref, accepted.store.leases.claim(ref, "worker")) for ref in refs))


def test_a_dry_run_among_others_is_rolled_back_nevertheless(accepted: Accepted) -> None:
    """The job store puts none into a group; whoever does must not have it applied."""
    usual, dry_run = accepted.accept(a_case(1)), accepted.accept(a_case(2), dry_run=True, weight=0)
    members = leased(accepted, usual, dry_run)
    assert len(members) == 2
    run_group(an_applier(accepted.store, accepted.targets, "worker", lambda _: False), members)
    assert (accepted.outcomes_of(usual), accepted.outcomes_of(dry_run)) == ([CREATED], [WOULD_CREATE])
    assert accepted.targets.rows("SELECT case_key FROM care_case") == [(1,)]


def test_a_batch_of_another_database_among_others_goes_to_its_own(accepted: Accepted) -> None:
    """The job store puts none into a group; whoever does must not have it applied elsewhere."""
    accepted.store.leases.settle("other", 0)
    jobs = [accepted.accept(a_case(1)), accepted.accept(a_case(2), database="other"), accepted.accept(a_case(3))]
    members = leased(accepted, *jobs)
    asked: list[str] = []

    class Asked(SteppedTargets):
        def writer(self, database: str) -> Any:
            asked.append(database)
            return super().writer(database)

    run_group(an_applier(accepted.store, Asked(accepted.targets.url), "worker", lambda _: False), members)
    assert asked == ["demo", "other"]
    assert [accepted.outcomes_of(job) for job in jobs] == [[CREATED]] * 3
