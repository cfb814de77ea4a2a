"""Attempts as an operator counts them: each chunk once for each attempt, by what became of it."""

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.integration.worker.attempts import SteppedTargets, attempt, attempt_in_a_process, nothing
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import pack
from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.worker.metrics import WorkerMetrics

Elapse = Callable[[timedelta], None]
_SERIES = re.compile(r"carecase_(chunk_attempts|poison_items|chunk_stage_seconds)_(?:total|count)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(?:failure|stage)="(.*?)"')


@dataclass(frozen=True)
class Scene:
    """A store, a database, and the metrics of the worker that applies chunks to it."""

    store: Stores
    targets: SteppedTargets
    metrics: WorkerMetrics

    def accept(self, *cases: dict[str, Any], **more: Any) -> ChunkRef:
        (chunk,) = chunks_of(a_batch(*cases))
        new = a_new_job(**{"total": len(cases), "weight": 1, **more})
        self.store.batches.admit(new, {0: pack(chunk)})
        return ChunkRef(new.job_id, 0)

    def attempt(self, ref: ChunkRef, holder: str = "worker") -> str:
        return attempt(self.store, self.targets, ref, holder, meter=self.metrics.meter(0)).verdict

    def fails(self, kind: FailureKind) -> None:
        """Have every write fail from now on."""

        def fail(reached: str) -> None:
            if reached == "before write":
                raise TargetFailure(kind)

        self.targets.step = fail

    def counts_of(self, name: str) -> dict[str, float]:
        """The counts of a metric that are not 0, by failure or stage."""
        counts: dict[str, float] = {}
        for metric, labels, value in _SERIES.findall(self.metrics.exposition().decode()):
            if metric == name and float(value):
                counts["".join(_LABEL.findall(labels))] = float(value)
        return counts


@pytest.fixture
def scene(store: Stores, tmp_path: Path) -> Scene:
    targets = SteppedTargets(f"sqlite:///{tmp_path / 'cases.sqlite'}")
    targets.prepare()
    store.leases.settle("demo", 0)
    return Scene(store, targets, WorkerMetrics.of(1, ["demo"], (), list))


def test_a_chunk_that_goes_alone_is_one_attempt_of_four_stages(scene: Scene) -> None:
    assert scene.attempt(scene.accept(a_case(1))) == "kept"
    assert scene.counts_of("chunk_attempts") == {"": 1}
    assert scene.counts_of("chunk_stage_seconds") == {"claim": 1, "validate": 1, "write": 1, "complete": 1}


def test_chunks_that_go_together_are_an_attempt_each_in_one_write(scene: Scene) -> None:
    first, *_ = [scene.accept(a_case(key)) for key in (1, 2, 3)]
    assert scene.attempt(first) == "kept"
    assert scene.counts_of("chunk_attempts") == {"": 3}
    assert scene.counts_of("chunk_stage_seconds") == {"claim": 1, "validate": 3, "write": 1, "complete": 1}


def test_one_that_cannot_go_with_the_others_counts_once(scene: Scene) -> None:
    scene.attempt(scene.accept(a_case(9, carePlan_Key=6)))
    first = scene.accept(a_case(1), care_plan=5)
    scene.accept(a_case(2), a_case(9), care_plan=5, strict=True)
    scene.attempt(first)
    assert scene.counts_of("chunk_attempts") == {"": 3}


def test_chunks_that_are_given_back_are_counted_by_the_failure_and_again_once_applied(
    scene: Scene, elapse: Elapse
) -> None:
    refs = [scene.accept(a_case(key)) for key in (1, 2, 3)]
    scene.fails(FailureKind.AWAY)
    assert scene.attempt(refs[0]) == "released: away"
    assert scene.counts_of("chunk_attempts") == {"away": 3}
    scene.targets.step = nothing
    elapse(timedelta(minutes=1))
    for ref in refs:  # one tries whether the database is back, and then all go
        scene.attempt(ref)
    assert scene.counts_of("chunk_attempts") == {"away": 3, "": 3}


def test_the_last_attempt_of_one_that_is_given_up_counts_as_the_others_do(scene: Scene, elapse: Elapse) -> None:
    ref = scene.accept(a_case(1))
    scene.fails(FailureKind.UNEXPECTED)
    attempts, verdict = 0, ""
    while verdict != "kept":
        elapse(timedelta(minutes=1))
        verdict, attempts = scene.attempt(ref), attempts + 1
        assert attempts < 20
    assert attempts > 1
    assert scene.counts_of("chunk_attempts") == {"unexpected": attempts}


def test_items_that_kill_their_process_are_counted_once_they_are_found(scene: Scene) -> None:
    def dies(reached: str) -> None:
        if reached in ("case 13", "case 77"):
            signal.raise_signal(signal.SIGKILL)

    scene.targets.step = dies
    ref = scene.accept(*map(a_case, range(100)))
    meter = scene.metrics.meter(0)
    ends = [attempt_in_a_process(scene.store, scene.targets, ref, f"holder {n}", meter) for n in range(5)]
    assert ends == [signal.SIGKILL] * 3 + [0] * 2
    assert scene.counts_of("poison_items") == {"": 2}
    assert scene.counts_of("chunk_attempts") == {"": 1}, "one that dies says nothing; it is told by chunks taken back"
