"""A pool process at a notification: how long it goes on, and what it says while broker or job store are away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import redis
from billiard.exceptions import SoftTimeLimitExceeded
from structlog.testing import capture_logs
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.integration.worker.attempts import Step, SteppedStore, SteppedTargets, an_applier, away_at, nothing
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkLimits, ChunkRef
from carecase_worker.batches.payloads import pack
from carecase_worker.clock import monotonic
from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.loading import load
from carecase_worker.store.job import State
from carecase_worker.store.operations.claims import ChunkResult
from carecase_worker.store.queries.open_jobs import OpenJobs
from carecase_worker.worker.attempts.placing import Placer
from carecase_worker.worker.metrics import metrics_of
from carecase_worker.worker.processes.pool_process import PoolProcess


@dataclass
class Scene:
    """A job of one chunk, and the pool process that is notified for it."""

    store: Stores
    targets: SteppedTargets
    ref: ChunkRef

    def notified(self, at_store: Step, notify: Any, seconds: Callable[[], float] = monotonic) -> tuple[str, list[Any]]:
        """What the process reports for Flower, and what it logs."""
        settings = load(environment={})
        applier = an_applier(SteppedStore(self.store, at_store), self.targets, "worker", lambda _: False)
        placer = Placer(self.store.leases, OpenJobs(self.store.client), "worker", seconds=lambda: 1e300)
        process = PoolProcess(
            settings, metrics_of(settings), replace(applier, seconds=seconds), placer, notifier=notify
        )
        with capture_logs() as logs:
            report = process.apply(self.ref, "cases.demo")
        return report.line(), [line for line in logs if line["event"] == "chunk left for the sweep"]


@pytest.fixture
def scene(store: Stores, tmp_path: Path) -> Scene:
    targets = SteppedTargets(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    targets.prepare()
    store.leases.settle("demo", 0)
    return Scene(store, targets, admitted(store, 1))


def admitted(store: Stores, cases: int) -> ChunkRef:
    """The first chunk of a job with so many, each of one case."""
    chunks = chunks_of(a_batch(*(a_case(key) for key in range(cases))), ChunkLimits(1, 1 << 20, 1 << 18))
    new = a_new_job(total=cases, chunk_firsts=range(cases))
    store.batches.admit(new, {number: pack(chunk) for number, chunk in enumerate(chunks)})
    return ChunkRef(new.job_id, 0)


class Notifying:
    """A notifier whose broker is there, or is not."""

    def __init__(self, is_away: bool = False) -> None:
        self._is_away = is_away
        self.notified: list[ChunkRef] = []

    def notify(self, _: object, chunks: Sequence[ChunkRef]) -> None:
        if self._is_away:
            raise StoreUnavailable("the broker cannot be reached")
        self.notified += chunks


def test_while_the_broker_is_away_a_chunk_is_applied_and_the_sweep_notifies_for_the_next(scene: Scene) -> None:
    report, logs = scene.notified(nothing, Notifying(is_away=True))
    assert scene.store.jobs.job(scene.ref.job_id).state is State.COMPLETED
    assert [line["reason"] for line in logs] == ["the broker cannot be reached"]
    assert "no-store" not in report


def test_while_the_job_store_is_away_a_written_chunk_is_left_for_the_sweep(scene: Scene) -> None:
    report, (line,) = scene.notified(away_at("before complete"), Notifying())
    assert (line["reason"], line["job_id"], line["database"]) == ("away", scene.ref.job_id, "demo")
    assert "no-store" in report
    assert scene.targets.rows("SELECT count(*) FROM ingest_ledger") == [(1,)]
    assert not scene.store.jobs.job(scene.ref.job_id).state.final


def test_an_attempt_that_reaches_its_deadline_takes_its_database_for_one_that_is_away(
    scene: Scene, raw_redis: redis.Redis
) -> None:
    """Whoever asks it next would wait for as long."""

    def hang(reached: str) -> None:
        if reached == "before write":
            raise SoftTimeLimitExceeded

    scene.targets.step = hang
    report, left = scene.notified(nothing, Notifying())
    assert (left, "released 1 chunk: timeout" in report) == ([], True)
    assert scene.store.jobs.job(scene.ref.job_id).state is State.WAITING
    assert raw_redis.get(scene.store.keys.failures("demo")) == b"1", "it is left alone for a while"


@pytest.mark.parametrize(
    ("each_s", "jobs", "applied"),
    [(0.1, 1, 4), (0.1, 2, 3), (0.02, 10, 4), (1.9, 1, 2), (2.1, 1, 1)],
    ids=["a time slice", "half of one", "no less than some time", "not much of it", "a fifth of an attempt's time"],
)
def test_a_process_goes_on_for_its_time_slice_and_then_with_what_it_has_claimed_alone(
    scene: Scene, each_s: float, jobs: int, applied: int
) -> None:
    scene.notified(nothing, Notifying())  # there is no other work then
    elapsed = [0.0]

    def write(reached: str) -> None:
        elapsed[0] += each_s * (reached == "before write")

    scene.targets.step = write
    for _ in range(1, jobs):
        assert scene.store.leases.claim(admitted(scene.store, 1), "another").lease
    scene.ref = admitted(scene.store, 12)
    scene.notified(nothing, Notifying(), lambda: elapsed[0])
    assert scene.store.jobs.job(scene.ref.job_id).processed == applied


def test_a_chunk_of_a_job_whose_placing_took_the_time_of_an_attempt_is_left_to_another_process(scene: Scene) -> None:
    """In what is left of the time, a healthy database might be taken for one that hangs."""
    new, notifier = a_new_job(care_plan=5), Notifying()
    (chunk,) = chunks_of(a_batch(a_case(2)))
    scene.store.batches.admit(new, {0: pack(chunk)})
    scene.store.leases.complete(scene.ref, ChunkResult(b"", {"created": 1}))
    scene.ref = ChunkRef(new.job_id, 0)
    scene.notified(nothing, notifier)
    assert scene.store.jobs.job(new.job_id).state is State.QUEUED
    assert (notifier.notified, scene.store.leases.holders()) == ([scene.ref], [])
