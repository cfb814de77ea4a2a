"""The retry deadline: a chunk whose database stays away is answered, once and for all; so is one that always fails."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs
from tests.builders import a_batch, a_case, a_lease, a_new_job, chunks_of
from tests.integration.targets.grounds import GROUNDS
from tests.integration.worker.attempts import RETRY_DEADLINE, SteppedTargets, attempt, nothing
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import Chunk, ChunkRef
from carecase_worker.batches.payloads import ChunkOutcomes, pack, unpack_done
from carecase_worker.cases.outcomes import CANCELLED, CREATED, NOT_APPLIED, REFUSED, UNAVAILABLE, Kind, Outcome
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.store.job import State
from carecase_worker.store.operations.claims import Claimed
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.worker.attempts.planning import plan_chunk
from carecase_worker.worker.attempts.report import Report

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
CASES = [a_case(1), a_case(2, case_Status="too long for it"), a_case(3)]
INVALID = Outcome(Kind.INVALID, "case_Status: must have at most 8 characters")
AWAY, SLOW = "before write", "before upsert"
"""The steps at which a database fails that does not answer, and one that takes no cases but a row of the ledger."""

UNREADABLE = b"\xff of a form that is not known here"

Elapse = Callable[[timedelta], None]

# the step fails inside two savepoints by an error that is none of the database's, so the inner one is left to the outer
pytestmark = pytest.mark.filterwarnings("ignore:nested transaction already deassociated")


@pytest.fixture(params=[*DIALECTS])
def targets(request: pytest.FixtureRequest, servers: Services, tmp_path: Path) -> SteppedTargets:
    """An empty database."""
    made = SteppedTargets(GROUNDS[request.param].empty(servers, tmp_path))
    made.prepare()
    return made


@dataclass(frozen=True)
class Admitted:
    """An accepted batch of one chunk."""

    store: Stores
    ref: ChunkRef
    chunk: Chunk

    def chunk_outcomes(self) -> ChunkOutcomes:
        """What its result says of each item."""
        (packed,) = self.store.jobs.outcomes(self.ref.job_id, [0])
        assert packed is not None
        return unpack_done(packed)

    def straggle(self, targets: SteppedTargets) -> list[Outcome]:
        """Apply it as a process would that was stopped long ago, and return what comes of that."""
        lease = a_lease(self.ref.job_id)
        answer: list[Outcome] = targets.writer("demo").write(
            LedgerKey(UUID(self.ref.job_id), 0), plan_chunk(self.chunk, lease)
        )
        return answer


def admit(store: Stores, *cases: dict[str, object], strict: bool = False, payload: bytes | None = None) -> Admitted:
    (chunk,) = chunks_of(a_batch(*cases))
    (ref,) = store.batches.admit(a_new_job(total=len(cases), strict=strict), {0: payload or pack(chunk)}).to_notify
    return Admitted(store, ref, chunk)


def fails_at(point: str, kind: FailureKind, times: int = 1000) -> Callable[[str], None]:
    """The step at which the database fails, so many times."""
    left = iter(range(times))

    def step(reached: str) -> None:
        if reached == point and next(left, None) is not None:
            raise TargetFailure(kind)

    return step


def cases_in(targets: SteppedTargets) -> int:
    return int(targets.rows("SELECT count(*) FROM care_case")[0][0])


def given_up(targets: SteppedTargets, one: Admitted, elapse: Elapse, **parts: Any) -> None:
    """Attempt a chunk up to its deadline, and once more when that has come."""
    for waited in (timedelta(0), RETRY_DEADLINE - MINUTE):
        elapse(waited)
        assert attempt(one.store, targets, one.ref, "worker", **parts).verdict.startswith("released: ")
    elapse(MINUTE)
    assert attempt(one.store, targets, one.ref, "worker", **parts).verdict == "kept"


@pytest.mark.parametrize(("point", "kind"), [(AWAY, FailureKind.AWAY), (SLOW, FailureKind.TOO_SLOW)])
def test_past_the_deadline_the_items_get_503_but_for_those_that_were_wrong_anyway(
    store: Stores, targets: SteppedTargets, elapse: Elapse, point: str, kind: FailureKind
) -> None:
    one = admit(store, *CASES)
    targets.step = fails_at(point, kind)
    given_up(targets, one, elapse)
    assert one.chunk_outcomes() == ChunkOutcomes([1, 2, 3], [UNAVAILABLE, INVALID, UNAVAILABLE])
    job = store.jobs.job(one.ref.job_id)
    assert (job.state, job.processed, job.counts["failed"]) == (State.COMPLETED, 3, 3)
    assert store.jobs.payloads(one.ref.job_id, [0]) == [pack(one.chunk)], "kept, to be sent again"
    assert cases_in(targets) == 0


def test_the_attempt_that_gives_up_closes_the_connections_as_each_that_failed_before_it(
    store: Stores, targets: SteppedTargets, elapse: Elapse
) -> None:
    closed: list[str] = []

    class Closed(SteppedTargets):
        def disconnect(self, database: str) -> None:
            closed.append(database)
            super().disconnect(database)

    given_up(Closed(targets.url, fails_at(AWAY, FailureKind.AWAY)), admit(store, *CASES), elapse)
    assert closed == ["demo"] * 3


def test_time_in_which_no_worker_ran_brings_the_deadline_no_nearer(
    store: Stores, targets: SteppedTargets, elapse: Elapse
) -> None:
    """However often the workers were stopped for a day, the database was away for moments."""
    one = admit(store, *CASES)
    targets.step = fails_at(SLOW, FailureKind.TOO_SLOW, times=5)
    for _ in range(5):
        assert attempt(store, targets, one.ref, "worker", retry_deadline=DAY).verdict == "released: too-slow"
        elapse(DAY)
    assert attempt(store, targets, one.ref, "worker", retry_deadline=DAY).verdict == "kept"
    assert one.chunk_outcomes().outcomes == [CREATED, INVALID, CREATED]


def test_items_that_were_answered_with_503_are_not_applied_later(
    store: Stores, targets: SteppedTargets, elapse: Elapse
) -> None:
    one = admit(store, *CASES)
    targets.step = fails_at(SLOW, FailureKind.TOO_SLOW)
    given_up(targets, one, elapse)
    targets.step = nothing
    assert one.straggle(targets) == [UNAVAILABLE, INVALID, UNAVAILABLE]
    assert cases_in(targets) == 0


def test_what_was_committed_is_reported_although_nobody_had_heard_of_it(
    store: Stores, targets: SteppedTargets, elapse: Elapse
) -> None:
    """The answers of the attempts are lost, and then the database stays away until the deadline."""
    one = admit(store, *CASES)
    targets.step = fails_at("after commit", FailureKind.AWAY)
    attempt(store, targets, one.ref, "worker")
    elapse(RETRY_DEADLINE)
    targets.step = fails_at(AWAY, FailureKind.AWAY, times=1)
    assert attempt(store, targets, one.ref, "worker").verdict == "kept"
    assert one.chunk_outcomes().outcomes == [CREATED, INVALID, CREATED]
    assert store.jobs.job(one.ref.job_id).counts["created"] == 2


@pytest.mark.parametrize("answers", [True, False])
def test_a_database_that_has_not_answered_stays_left_alone(
    store: Stores, targets: SteppedTargets, elapse: Elapse, answers: bool
) -> None:
    one, other = admit(store, *CASES), admit(store, a_case(4))
    targets.step = fails_at(AWAY, FailureKind.AWAY)
    attempt(store, targets, one.ref, "worker")
    elapse(RETRY_DEADLINE)
    targets.step = fails_at(AWAY, FailureKind.AWAY, times=1 if answers else 2)
    with capture_logs() as logs:
        assert attempt(store, targets, one.ref, "worker").verdict == "kept"
    assert ("database is back" in [line["event"] for line in logs]) == answers
    claim, trouble = store.leases.claim(other.ref, "another"), store.workload.trouble("demo")
    if answers:
        assert (claim.verdict, trouble) == (Claimed.APPLY, None)
    else:
        assert claim.verdict is Claimed.CIRCUIT_OPEN
        assert trouble is not None
        assert (trouble.reason, trouble.lasting >= RETRY_DEADLINE) == ("away", True)


def test_a_whole_batch_is_answered_as_one(store: Stores, targets: SteppedTargets, elapse: Elapse) -> None:
    good, bad = admit(store, *CASES[::2], strict=True), admit(store, *CASES, strict=True)
    targets.step = fails_at(AWAY, FailureKind.AWAY)
    for one in (good, bad):
        given_up(targets, one, elapse)
    assert good.chunk_outcomes().outcomes == [UNAVAILABLE, UNAVAILABLE]
    assert bad.chunk_outcomes().outcomes == [NOT_APPLIED, INVALID, NOT_APPLIED]


@pytest.fixture
def nowhere(tmp_path: Path) -> SteppedTargets:
    """A database that is not there."""
    return SteppedTargets(f"sqlite:///{tmp_path}/no/such/place.sqlite")


def test_a_chunk_that_has_killed_its_processes_is_given_up_like_any_other(
    store: Stores, nowhere: SteppedTargets, elapse: Elapse
) -> None:
    one = admit(store, *CASES)
    for number in range(3):
        store.leases.claim(one.ref, f"victim {number}")
        store.leases.reclaim(f"victim {number}")
    assert attempt(store, nowhere, one.ref, "worker").verdict == "released: away"
    elapse(RETRY_DEADLINE)
    verdicts = [attempt(store, nowhere, one.ref, "worker").verdict for _ in range(2)]
    assert verdicts == ["released: isolating", "kept"], "what kills a process without the database is looked for first"
    assert one.chunk_outcomes().outcomes == [UNAVAILABLE, INVALID, UNAVAILABLE]


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("payload", ["readable", "of a key that is lost"])
def test_what_was_cancelled_is_reported_as_cancelled_when_the_deadline_comes(
    store: Stores, nowhere: SteppedTargets, elapse: Elapse, settled: bool, payload: str
) -> None:
    one = admit(store, *CASES, payload=None if payload == "readable" else UNREADABLE)
    if settled:
        store.leases.settle("demo", 0)
    store.jobs.cancel(one.ref.job_id)
    report = Report()
    given_up(nowhere, one, elapse, report=report)
    assert one.chunk_outcomes().outcomes == [CANCELLED] * 3
    assert not report.gave_up, "for Flower it is no failed task"
    job = store.jobs.job(one.ref.job_id)
    assert (job.state, job.counts["cancelled"], job.counts["failed"]) == (State.CANCELLED, 3, 0)


def test_a_chunk_that_only_this_worker_cannot_read_is_not_given_up(
    store: Stores, nowhere: SteppedTargets, elapse: Elapse
) -> None:
    one = admit(store, *CASES, payload=UNREADABLE)
    for waited in (timedelta(0), DAY, DAY):
        elapse(waited)
        assert attempt(store, nowhere, one.ref, "worker").verdict.startswith("released: ")
    assert store.jobs.job(one.ref.job_id).state is State.WAITING


@pytest.mark.parametrize("kind", [FailureKind.UNEXPECTED, FailureKind.REFUSED, FailureKind.CONFLICT])
def test_a_chunk_that_fails_for_no_known_reason_is_given_up_after_five_attempts(
    store: Stores, targets: SteppedTargets, elapse: Elapse, kind: FailureKind
) -> None:
    one = admit(store, *CASES)
    targets.step = fails_at(SLOW, kind)
    for _ in range(5):
        assert attempt(store, targets, one.ref, "worker").verdict == f"released: {kind.value}"
        elapse(MINUTE)
    assert attempt(store, targets, one.ref, "worker").verdict == "kept"
    assert one.chunk_outcomes() == ChunkOutcomes([1, 2, 3], [REFUSED] * 3)
    targets.step = nothing
    assert one.straggle(targets) == [REFUSED] * 3
    assert cases_in(targets) == 0
