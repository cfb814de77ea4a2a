"""A database that is away is one failure of a group, and past the deadline each batch is given up."""

import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import redis
from structlog.testing import capture_logs
from tests.builders import Even, a_case, a_lease
from tests.integration.worker.attempts import RETRY_DEADLINE, an_applier, attempt, fails_at, nothing
from tests.integration.worker.groups.small_batches import SECOND, Accepted, Elapse, Transactions

from carecase_worker.cases.outcomes import (
    CANCELLED,
    CREATED,
    NOT_APPLIED,
    OTHER_CARE_PLAN,
    REFUSED,
    UNAVAILABLE,
)
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.store.job import State
from carecase_worker.store.operations.claims import History, RetryLater
from carecase_worker.worker.attempts.group import Member, fail


def test_an_absent_database_is_one_failure_and_all_come_back_together(
    accepted: Accepted, elapse: Elapse, raw_redis: redis.Redis
) -> None:
    for key in range(5):
        accepted.accept(a_case(key))

    accepted.targets.step = fails_at("before write", FailureKind.AWAY)
    assert accepted.attempt() == "released: away"
    assert {accepted.store.jobs.job(job).state for job in accepted.jobs} == {State.WAITING}
    assert raw_redis.get(accepted.store.keys.failures("demo")) == b"1"
    elapse(SECOND)
    (to_notify,) = accepted.store.leases.overdue("demo", 0)
    accepted.targets.step = commits = Transactions()
    assert attempt(accepted.store, accepted.targets, to_notify, "probe").verdict == "kept", "one attempt finds it back"
    accepted.attempt("worker", next(n for n, job in enumerate(accepted.jobs) if job != to_notify.job_id))
    assert [accepted.outcomes_of(job) for job in accepted.jobs] == [[CREATED]] * 5
    assert commits.count == 2


@pytest.mark.parametrize(("size", "event"), [(1, "chunk not applied"), (3, "chunks not applied")])
def test_the_log_tells_why_nothing_was_applied(accepted: Accepted, size: int, event: str) -> None:
    for key in range(size):
        accepted.accept(a_case(key))
    accepted.targets.step = fails_at("before write", FailureKind.AWAY)
    with capture_logs() as logs:
        accepted.attempt()
    (told,) = [line for line in logs if line["event"] == event]
    assert (told["log_level"], told["database"], told["reason"]) == ("warning", "demo", "target database: away")


def test_past_the_deadline_each_batch_is_given_up(accepted: Accepted, elapse: Elapse) -> None:
    for key in range(3):
        accepted.accept(a_case(key))

    accepted.targets.step = fails_at("before write", FailureKind.TOO_SLOW)
    accepted.attempt()
    elapse(RETRY_DEADLINE)
    for number in range(3):
        accepted.attempt(f"worker {number}", number)
    assert all(accepted.store.jobs.job(job).counts["failed"] == 1 for job in accepted.jobs)
    assert REFUSED not in [outcome for job in accepted.jobs for outcome in accepted.outcomes_of(job)]


def test_a_group_past_the_deadline_is_given_up_whole(accepted: Accepted, elapse: Elapse) -> None:
    """Its database was away for so long, answered another batch, and is away again; one was cancelled by then."""
    late = [accepted.accept(a_case(key)) for key in range(3)]

    accepted.targets.step = fails_at("before write", FailureKind.AWAY)
    accepted.attempt()
    elapse(RETRY_DEADLINE)
    assert len(accepted.store.leases.overdue("demo", 0)) == 1, "the others are lined up behind it"
    accepted.targets.step = nothing
    another = accepted.accept(a_case(9))
    accepted.attempt("probe", accepted.jobs.index(another))
    accepted.targets.step = fails_at("before write", FailureKind.AWAY)
    accepted.store.jobs.cancel(late[1])
    assert accepted.attempt() == "kept"
    assert [accepted.outcomes_of(job) for job in late] == [[UNAVAILABLE], [CANCELLED], [UNAVAILABLE]]
    assert accepted.store.workload.due_count("demo") == 0


def too_slow(accepted: Accepted, raw_redis: redis.Redis, jobs: list[str]) -> list[int]:
    """How many attempts at each batch did not end in their time."""
    leases = (raw_redis.hget(f"{accepted.store.keys.prefix}lease:{job}", "0:too_slow") for job in jobs)
    return [int(told or 0) for told in leases]


def test_when_one_that_goes_alone_takes_the_time_of_the_group_the_others_wait_and_go_alone_from_then_on(
    accepted: Accepted, raw_redis: redis.Redis
) -> None:
    accepted.accept(a_case(9, carePlan_Key=6))
    accepted.attempt()
    strict = [accepted.accept(a_case(key), a_case(9), strict=True, care_plan=5) for key in (1, 2, 3)]
    writes = count()

    def slow_alone(reached: str) -> None:
        if reached == "before write" and next(writes):
            time.sleep(1.1)  # a chunk of the group may take a second beside the others

    accepted.targets.step = slow_alone
    accepted.attempt("worker", 1)
    assert [accepted.store.jobs.job(job).state for job in strict] == [State.COMPLETED, State.WAITING, State.WAITING]
    assert too_slow(accepted, raw_redis, strict) == [0, 1, 1]
    assert accepted.store.workload.trouble("demo") is None, "their database is not to blame"
    accepted.finish()
    assert [accepted.outcomes_of(job) for job in strict] == [[NOT_APPLIED, OTHER_CARE_PLAN]] * 3


def test_a_database_that_goes_away_behind_a_group_is_one_failure_too(
    accepted: Accepted, elapse: Elapse, raw_redis: redis.Redis
) -> None:
    """Three strict batches fail together, as a case is another care plan's, and are to go alone."""
    accepted.accept(a_case(9, carePlan_Key=6))
    accepted.attempt()
    strict = [accepted.accept(a_case(key), a_case(9), strict=True, care_plan=5) for key in (1, 2, 3)]

    writes = count()

    def away_from_then_on(reached: str) -> None:
        if reached == "before write" and next(writes):
            raise TargetFailure(FailureKind.AWAY)

    accepted.targets.step = away_from_then_on
    assert accepted.attempt("worker", 1) == "released: away"
    assert raw_redis.get(accepted.store.keys.failures("demo")) == b"1"
    assert {accepted.store.jobs.job(job).state for job in strict} == {State.WAITING}
    assert too_slow(accepted, raw_redis, strict) == [0, 0, 0]
    elapse(timedelta(minutes=1))  # the database is tried again
    accepted.finish()
    assert [accepted.outcomes_of(job) for job in strict] == [[NOT_APPLIED, OTHER_CARE_PLAN]] * 3


@dataclass
class Released:
    """A store of leases that records how long each release waits."""

    waits: list[tuple[Any, RetryLater]] = field(default_factory=list)

    def release(self, chunks: Any, _: str, wait: RetryLater) -> None:
        self.waits.append((chunks, wait))


def test_a_group_waits_as_long_as_the_batch_of_it_that_has_failed_most(accepted: Accepted) -> None:
    members = [Member(a_lease(uuid4(), history=History(releases=releases)), cancel=False) for releases in (0, 3, 1)]
    leases: Any = Released()
    applier = an_applier(accepted.store, accepted.targets, "worker", lambda _: False)
    fail(replace(applier, leases=leases, random=Even()), members, FailureKind.AWAY)
    ((chunks, wait),) = leases.waits
    assert chunks == [member.lease.chunk for member in members]
    assert wait.after == wait.open_circuit == timedelta(seconds=1.5), (
        "two seconds after three failures, less the jitter"
    )
