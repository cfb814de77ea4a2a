"""A process that goes on takes the small batches that have come since; one that does not has another take them."""

from itertools import count

from tests.builders import a_case
from tests.integration.worker.attempts import (
    attempt,
)
from tests.integration.worker.groups.small_batches import Accepted, no_time_goes_by

from carecase_worker.batches.chunking import ChunkRef


def test_a_process_that_goes_on_takes_the_batches_that_have_come_since(accepted: Accepted) -> None:
    accepted.accept(a_case(1))
    accepted.targets.step = accepted.another_comes
    applied = attempt(
        accepted.store, accepted.targets, ChunkRef(accepted.jobs[0], 0), "worker", go_on=True, seconds=no_time_goes_by
    )
    assert [ref.job_id for ref, _ in applied.following] == accepted.jobs[1:]


def test_a_process_that_does_not_go_on_has_another_take_what_is_ready(accepted: Accepted) -> None:
    accepted.accept(a_case(1))
    accepted.targets.step = accepted.another_comes
    applied = attempt(accepted.store, accepted.targets, ChunkRef(accepted.jobs[0], 0), "worker")
    assert applied.to_notify == (ChunkRef(accepted.jobs[1], 0),)


def test_the_last_of_those_that_go_alone_claims_what_has_come_since_and_no_other_does(accepted: Accepted) -> None:
    accepted.accept(a_case(9, carePlan_Key=6))
    accepted.attempt()
    for key in (1, 2):
        accepted.accept(a_case(key), a_case(9), strict=True, care_plan=5)
    writes = count()

    def another_comes(reached: str) -> None:
        if reached == "before write" and next(writes) == 1:  # the group has failed, and the first goes alone
            accepted.accept(a_case(3), care_plan=5)

    accepted.targets.step = another_comes
    applied = attempt(
        accepted.store, accepted.targets, ChunkRef(accepted.jobs[1], 0), "worker", go_on=True, seconds=no_time_goes_by
    )
    assert [accepted.store.jobs.job(job).state.final for job in accepted.jobs] == [True, True, True, False]
    assert [ref.job_id for ref, _ in applied.following] == accepted.jobs[3:]


def test_what_comes_while_a_group_is_written_is_not_claimed_before_those_that_go_alone(accepted: Accepted) -> None:
    """Whoever claims it must know of it: a claim that nobody knows of waits for the end of its lease."""
    accepted.accept(a_case(1))
    accepted.accept(a_case(3), payload=b"\xff of a form that is not known here")
    accepted.targets.step = accepted.another_comes
    applied = attempt(
        accepted.store, accepted.targets, ChunkRef(accepted.jobs[0], 0), "worker", go_on=True, seconds=no_time_goes_by
    )
    assert len(accepted.store.leases.holders()) == len(applied.following)
    assert applied.reason == "unreadable"
