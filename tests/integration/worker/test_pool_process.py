"""A pool process at a notification while the broker or the job store is away: it goes on, and what it says of that."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from billiard.exceptions import SoftTimeLimitExceeded
from structlog.testing import capture_logs
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.integration.worker.attempts import Step, SteppedStore, SteppedTargets, an_applier, away_at, nothing
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import pack
from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.loading import load
from carecase_worker.store.job import State
from carecase_worker.worker.metrics import metrics_of
from carecase_worker.worker.processes.pool_process import PoolProcess


@dataclass
class Scene:
    """A job of one chunk, and the pool process that is notified for it."""

    store: Stores
    targets: SteppedTargets
    ref: ChunkRef

    def notified(self, at_store: Step, notify: Any) -> tuple[str, list[Any]]:
        """What the process reports for Flower, and what it logs."""
        settings = load(environment={})
        applier = an_applier(SteppedStore(self.store, at_store), self.targets, "worker", lambda _: False)
        process = PoolProcess(settings, metrics_of(settings), applier, notifier=notify)
        with capture_logs() as logs:
            report = process.apply(self.ref, "cases.demo")
        return report.line(), [line for line in logs if line["event"] == "chunk left for the sweep"]


@pytest.fixture
def scene(store: Stores, tmp_path: Path) -> Scene:
    targets = SteppedTargets(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    targets.prepare()
    store.leases.settle("demo", 0)
    (chunk,) = chunks_of(a_batch(a_case(1)))
    new = a_new_job()
    store.batches.admit(new, {0: pack(chunk)})
    return Scene(store, targets, ChunkRef(new.job_id, 0))


class Notifying:
    """A notifier whose broker is there, or is not."""

    def __init__(self, is_away: bool = False) -> None:
        self._is_away = is_away

    def notify(self, *_: object) -> None:
        if self._is_away:
            raise StoreUnavailable("the broker cannot be reached")


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
