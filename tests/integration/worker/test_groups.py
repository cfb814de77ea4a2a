"""Small batches that are applied together: each is answered as if it had come alone, whatever happens to the others."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.integration.targets.grounds import GROUNDS
from tests.integration.worker.attempts import (
    POINTS,
    SteppedStore,
    SteppedTargets,
    attempt,
    attempt_in_a_process,
    away_at,
    dies_at,
    nothing,
)
from tests.services import Services

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import pack, unpack_done
from carecase_worker.cases.outcomes import (
    CANCELLED,
    CREATED,
    NOT_APPLIED,
    OTHER_CARE_PLAN,
    REFUSED,
    UPDATED,
    Kind,
    Outcome,
)
from carecase_worker.errors import FailureKind, StoreUnavailable, TargetFailure
from carecase_worker.store.job import State
from carecase_worker.store.job_store import JobStore
from carecase_worker.targets.case_versions import version_of
from carecase_worker.targets.dialects.registry import DIALECTS

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
Elapse = Callable[[timedelta], None]


@dataclass
class Accepted:
    """Small batches that were accepted one after the other."""

    store: JobStore
    targets: SteppedTargets
    jobs: list[str] = field(default_factory=list)
    to_notify: list[ChunkRef] = field(default_factory=list)

    def accept(self, *cases: dict[str, Any], payload: bytes | None = None, weight: int = 1, **more: Any) -> str:
        (chunk,) = chunks_of(a_batch(*cases))
        new = a_new_job(total=len(cases), weight=weight, **more)
        self.to_notify += self.store.admit(new, {0: payload or pack(chunk)}).to_notify
        self.jobs.append(new.job_id)
        return new.job_id

    def another_comes(self, reached: str) -> None:
        """The step at which another batch is accepted."""
        if reached == "before write":
            self.accept(a_case(2))

    def attempt(self, holder: str = "worker", number: int = 0, **more: Any) -> str:
        """Attempt a batch, and what is ready by then."""
        return attempt(self.store, self.targets, ChunkRef(self.jobs[number], 0), holder, **more).verdict

    def finish(self) -> None:
        """Attempt one after the other until each is final."""
        self.targets.step = nothing
        for number, job in enumerate(self.jobs):
            if not self.store.job(job).state.final:
                self.attempt(f"finisher {number}", number)

    def told(self, job: str) -> list[Outcome]:
        """What became of each item of a batch."""
        assert self.store.job(job).state.final
        (packed,) = self.store.outcomes(job, [0])
        assert packed is not None
        return list(unpack_done(packed).outcomes)

    def count(self, table: str) -> int:
        return int(self.targets.rows(f"SELECT count(*) FROM {table}")[0][0])


@pytest.fixture(params=[*DIALECTS])
def accepted(request: pytest.FixtureRequest, store: JobStore, servers: Services, tmp_path: Path) -> Accepted:
    targets = SteppedTargets(GROUNDS[request.param].empty(servers, tmp_path))
    targets.prepare()
    store.settle("demo", 0)
    return Accepted(store, targets)


class Transactions:
    """Counts the transactions that are committed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, reached: str) -> None:
        self.count += reached == "before commit"


def test_small_batches_take_one_transaction(accepted: Accepted) -> None:
    for key in range(20):
        accepted.accept(a_case(key), a_case(100))
    accepted.targets.step = commits = Transactions()
    assert accepted.attempt() == "kept"
    assert commits.count == 1
    assert [accepted.told(job) for job in accepted.jobs] == [[CREATED, CREATED]] + [[CREATED, UPDATED]] * 19
    assert (accepted.count("care_case"), accepted.count("ingest_ledger")) == (21, 20)
    assert accepted.store.due_count("demo") == 0
    assert accepted.store.backlog("demo") == (0, 0)


def test_each_batch_of_a_group_is_written_with_its_own_user_moment_and_versions(accepted: Accepted) -> None:
    batches = {"ann": (9, 3, 7), "bob": (1,), "cy": (8, 2)}
    jobs = {
        user: accepted.accept(*map(a_case, keys), a_case(100 + keys[0], entry_User="given"), user=user)
        for user, keys in batches.items()
    }
    accepted.targets.step = commits = Transactions()
    accepted.attempt()
    assert commits.count == 1
    written = {
        key: (version, entry_version, entry_user, update_user)
        for key, *(version, entry_version, entry_user, update_user) in accepted.targets.rows(
            "SELECT case_key, ingest_version, entry_version, entry_user, update_user FROM care_case"
        )
    }
    moments = dict(accepted.targets.rows("SELECT case_key, entry_date FROM care_case"))
    for user, keys in batches.items():
        job = accepted.store.job(jobs[user])
        for place, key in enumerate(keys):
            version = version_of(job.seq, place)
            assert written[key] == (version, version, user, user)
            assert moments[key] == moments[keys[0]]
    given = "SELECT DISTINCT entry_user FROM care_case WHERE case_key > 100"
    assert accepted.targets.rows(given) == [("given",)]


def test_a_group_has_no_more_items_than_a_chunk(accepted: Accepted) -> None:
    """A thousand, of which two batches that fill half of it each take all."""
    for key in range(3):
        accepted.accept(a_case(key), weight=500)
    accepted.attempt()
    assert [accepted.store.job(job).state for job in accepted.jobs] == [State.COMPLETED] * 2 + [State.QUEUED]


def test_who_goes_on_takes_what_has_come_since(accepted: Accepted) -> None:
    accepted.accept(a_case(1))
    accepted.targets.step = accepted.another_comes
    applied = attempt(accepted.store, accepted.targets, ChunkRef(accepted.jobs[0], 0), "worker", go_on=True)
    assert [ref.job_id for ref, _ in applied.following] == accepted.jobs[1:]


def test_who_does_not_go_on_has_another_take_what_is_ready(accepted: Accepted) -> None:
    accepted.accept(a_case(1))
    accepted.targets.step = accepted.another_comes
    applied = attempt(accepted.store, accepted.targets, ChunkRef(accepted.jobs[0], 0), "worker")
    assert applied.to_notify == (ChunkRef(accepted.jobs[1], 0),)


@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_any_step_costs_nothing_but_time(accepted: Accepted, point: str) -> None:
    for key in range(4):
        accepted.accept(a_case(key))
    accepted.targets.step = dies_at(point)
    stepped = SteppedStore(accepted.store, accepted.targets.step)
    first = ChunkRef(accepted.jobs[0], 0)
    assert attempt_in_a_process(stepped, accepted.targets, first, "victim") == signal.SIGKILL
    reclaimed = accepted.store.reclaim("victim")
    assert len(reclaimed) == (0 if point in ("before claim", "after complete") else 4)
    accepted.finish()
    assert [accepted.told(job) for job in accepted.jobs] == [[CREATED]] * 4, "a doubled one would be Updated"
    assert (accepted.count("care_case"), accepted.count("ingest_ledger")) == (4, 4)
    assert accepted.store.holders() == []


@pytest.mark.parametrize("point", ["before claim", "after claim", "before complete", "after complete"])
def test_redis_away_at_any_step_costs_nothing_but_time(accepted: Accepted, point: str) -> None:
    for key in range(3):
        accepted.accept(a_case(key))
    first = ChunkRef(accepted.jobs[0], 0)
    with pytest.raises(StoreUnavailable):
        attempt(SteppedStore(accepted.store, away_at(point)), accepted.targets, first, "victim", go_on=True)
    accepted.finish()
    assert [accepted.told(job) for job in accepted.jobs] == [[CREATED]] * 3


def test_an_answer_of_complete_that_is_lost_leaves_nothing_leased_to_nobody(accepted: Accepted) -> None:
    for key in range(4):
        accepted.accept(a_case(key), weight=400)
    store = SteppedStore(accepted.store, away_at("after complete", times=1))
    applied = attempt(store, accepted.targets, ChunkRef(accepted.jobs[0], 0), "worker", go_on=True)
    assert applied.verdict == "done"
    assert {ref.job_id for ref, _ in applied.following} == set(accepted.jobs[2:])


def test_those_whom_a_death_was_shared_with_go_alone_and_the_killer_harms_only_itself(accepted: Accepted) -> None:
    for key in range(3):
        accepted.accept(a_case(key))
    for number in (1, 0, 2):
        accepted.targets.step = dies_at("case 1")
        ref = ChunkRef(accepted.jobs[number], 0)
        attempt_in_a_process(SteppedStore(accepted.store, nothing), accepted.targets, ref, f"victim {number}")
        accepted.store.reclaim(f"victim {number}")
    states = [accepted.store.job(job).state for job in accepted.jobs]
    assert states == [State.COMPLETED, State.RUNNING, State.COMPLETED]
    assert accepted.told(accepted.jobs[0]) == accepted.told(accepted.jobs[2]) == [CREATED]


def test_each_kind_of_culprit_costs_the_others_nothing_but_a_second_transaction(accepted: Accepted) -> None:
    wrong = accepted.accept(a_case(1, case_Status="too long for it"), a_case(2))
    unreadable = accepted.accept(a_case(3), payload=b"\xff of a form that is not known here")
    cancelled = accepted.accept(a_case(4))
    accepted.store.cancel(cancelled)
    strict = accepted.accept(a_case(5), a_case(6, case_Status="too long for it"), strict=True)
    fine = accepted.accept(a_case(7), strict=True)
    accepted.targets.step = commits = Transactions()
    accepted.attempt()
    invalid = Outcome(Kind.INVALID, "case_Status: must have at most 8 characters")
    assert accepted.told(wrong) == [invalid, CREATED]
    assert accepted.told(cancelled) == [CANCELLED]
    assert accepted.told(strict) == [NOT_APPLIED, invalid]
    assert accepted.told(fine) == [CREATED]
    assert accepted.store.job(cancelled).state is State.CANCELLED
    assert accepted.store.job(unreadable).state is State.WAITING, "for a worker that can read it"
    assert commits.count == 1


def test_a_batch_that_was_written_before_is_answered_from_the_ledger(accepted: Accepted) -> None:
    """Its answer was lost, as that of the whole group it was in; another batch has come since."""
    accepted.accept(a_case(1))
    accepted.targets.step = dies_at("before complete")
    stepped = SteppedStore(accepted.store, accepted.targets.step)
    attempt_in_a_process(stepped, accepted.targets, ChunkRef(accepted.jobs[0], 0), "victim")
    accepted.targets.step = nothing
    accepted.store.reclaim("victim")
    for key in (1, 2):
        accepted.accept(a_case(key))
    accepted.attempt("worker", 1)
    accepted.finish()
    assert [accepted.told(job) for job in accepted.jobs] == [[CREATED], [UPDATED], [CREATED]]


def test_what_comes_while_a_group_is_written_is_not_claimed_before_those_that_go_alone(accepted: Accepted) -> None:
    """Who claims it has to be told of it: a claim that nobody knows of waits for the end of its lease."""
    accepted.accept(a_case(1))
    accepted.accept(a_case(3), payload=b"\xff of a form that is not known here")
    accepted.targets.step = accepted.another_comes
    applied = attempt(accepted.store, accepted.targets, ChunkRef(accepted.jobs[0], 0), "worker", go_on=True)
    assert len(accepted.store.holders()) == len(applied.following)
    assert applied.reason == "unreadable"


def test_the_reason_of_one_that_goes_alone_is_told_though_the_next_one_is_applied(accepted: Accepted) -> None:
    accepted.accept(a_case(9, carePlan_Key=6))
    accepted.attempt()
    accepted.accept(a_case(1), care_plan=5)
    accepted.accept(a_case(2), care_plan=5, payload=b"\xff of a form that is not known here")
    strict = accepted.accept(a_case(3), a_case(9), strict=True, care_plan=5)
    applied = attempt(accepted.store, accepted.targets, ChunkRef(accepted.jobs[1], 0), "worker")
    assert accepted.told(strict) == [NOT_APPLIED, OTHER_CARE_PLAN]
    assert applied.reason == "unreadable"


def test_an_absent_database_is_one_failure_and_all_come_back_together(accepted: Accepted, elapse: Elapse) -> None:
    for key in range(5):
        accepted.accept(a_case(key))

    def away(reached: str) -> None:
        if reached == "before write":
            raise TargetFailure(FailureKind.AWAY)

    accepted.targets.step = away
    assert accepted.attempt() == "released: away"
    assert {accepted.store.job(job).state for job in accepted.jobs} == {State.WAITING}
    assert accepted.store._redis.get(f"{accepted.store.keys.prefix}failures:demo") == b"1"
    elapse(SECOND)
    (to_notify,) = accepted.store.overdue("demo", 0)
    accepted.targets.step = commits = Transactions()
    assert attempt(accepted.store, accepted.targets, to_notify, "probe").verdict == "kept", "one attempt finds it back"
    accepted.attempt("worker", next(n for n, job in enumerate(accepted.jobs) if job != to_notify.job_id))
    assert [accepted.told(job) for job in accepted.jobs] == [[CREATED]] * 5
    assert commits.count == 2


def test_past_the_deadline_each_is_given_up(accepted: Accepted, elapse: Elapse) -> None:
    for key in range(3):
        accepted.accept(a_case(key))

    def slow(reached: str) -> None:
        if reached == "before write":
            raise TargetFailure(FailureKind.TOO_SLOW)

    accepted.targets.step = slow
    accepted.attempt()
    elapse(DAY)
    for number in range(3):
        accepted.attempt(f"worker {number}", number)
    assert all(accepted.store.job(job).counts["failed"] == 1 for job in accepted.jobs)
    assert REFUSED not in [outcome for job in accepted.jobs for outcome in accepted.told(job)]


def too_slow(accepted: Accepted, jobs: list[str]) -> list[int]:
    """How many attempts at each batch did not end in their time."""
    leases = (accepted.store._redis.hget(f"{accepted.store.keys.prefix}lease:{job}", "0:too_slow") for job in jobs)
    return [int(told or 0) for told in leases]


def test_when_one_that_goes_alone_takes_the_time_of_the_group_the_others_wait_and_go_alone_from_then_on(
    accepted: Accepted,
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
    assert [accepted.store.job(job).state for job in strict] == [State.COMPLETED, State.WAITING, State.WAITING]
    assert too_slow(accepted, strict) == [0, 1, 1]
    accepted.finish()
    assert [accepted.told(job) for job in strict] == [[NOT_APPLIED, OTHER_CARE_PLAN]] * 3


def test_a_database_that_goes_away_behind_a_group_is_one_failure_too(accepted: Accepted) -> None:
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
    assert accepted.store._redis.get(f"{accepted.store.keys.prefix}failures:demo") == b"1"
    assert {accepted.store.job(job).state for job in strict} == {State.WAITING}
    accepted.store._redis.delete(accepted.store.keys.circuit("demo"))
    assert too_slow(accepted, strict) == [0, 0, 0]
    accepted.finish()
    assert [accepted.told(job) for job in strict] == [[NOT_APPLIED, OTHER_CARE_PLAN]] * 3
