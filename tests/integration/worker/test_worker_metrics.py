"""Metrics of a worker: pool processes count, the main process shows the counts, a killed process takes none with it."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from billiard.process import current_process
from tests.tls import certificates

from carecase_worker.errors import FailureKind
from carecase_worker.settings.loading import load
from carecase_worker.store.scripts import OPERATIONS
from carecase_worker.worker.metrics import Stage, WorkerMetrics, metrics_of, unmetered
from carecase_worker.worker.processes.pool_process import PoolProcess

DATABASES = ("demo", "other")


def metrics() -> WorkerMetrics:
    return WorkerMetrics.of(2, DATABASES, ("claim", "complete"), list)


def in_a_killed_process(count: Callable[[], None]) -> None:
    """Count in a process of its own, which is killed then."""
    pid = os.fork()
    if not pid:
        try:
            count()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def values_of(of: WorkerMetrics) -> dict[str, float]:
    lines = [line for line in of.exposition().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_what_pool_processes_count_is_shown_by_the_main_process_whatever_becomes_of_them() -> None:
    worker = metrics()

    def count(process: int) -> Callable[[], None]:
        def counted() -> None:
            meter = worker.meter(process)
            meter.attempts("demo", 3)
            meter.attempts("other", 1, FailureKind.AWAY)
            meter.poison("demo", 2)
            meter.round_trip("claim", 0.0003)
            meter.round_trip("claim", 100.0)

        return counted

    for process in (0, 1, 1):
        in_a_killed_process(count(process))
    now = values_of(worker)
    assert now['carecase_chunk_attempts_total{database="demo",failure=""}'] == 9
    assert now['carecase_chunk_attempts_total{database="other",failure="away"}'] == 3
    assert now['carecase_chunk_attempts_total{database="other",failure=""}'] == 0
    assert now['carecase_poison_items_total{database="demo"}'] == 6
    trips, bounds = "carecase_redis_round_trip_seconds", ("0.00025", "0.0005", "10.0", "+Inf")
    assert [now[f'{trips}_bucket{{le="{bound}",operation="claim"}}'] for bound in bounds] == [0, 3, 3, 6]
    assert now[f'{trips}_count{{operation="claim"}}'] == 6
    assert round(now[f'{trips}_sum{{operation="claim"}}'], 6) == 300.0009


def test_each_pool_process_counts_in_a_part_of_its_own() -> None:
    """In a common one they would lose each other's counts, since there are no locks."""
    variables = {"CARECASE_DATABASES_DEMO_URL": "sqlite:///nowhere", "CARECASE_WORKER_CONCURRENCY": "3"}
    settings = load(environment=variables)
    worker = metrics_of(settings)

    def count(index: int) -> None:
        pool: Any = current_process()
        pool.index = index
        process = PoolProcess(settings, worker)
        process.start()
        assert process.applier is not None
        process.applier.meter.attempts("demo", index + 1)

    for index in range(3):
        in_a_killed_process(partial(count, index))
    parts = [worker.memory[number * worker.size : (number + 1) * worker.size] for number in range(3)]
    assert [sum(part) for part in parts] == [1, 2, 3]


def test_the_round_trips_of_each_operation_of_workers_have_a_series() -> None:
    series = {name for name in values_of(metrics_of(load(environment={}))) if "round_trip_seconds_count" in name}
    named = {"claim", "complete", "place", "release", "reclaim", "settle"}
    assert series == {f'carecase_redis_round_trip_seconds_count{{operation="{name}"}}' for name in named}
    assert named <= set(OPERATIONS)


def test_a_stage_is_observed_whether_it_succeeds_or_fails() -> None:
    worker = metrics()
    meter = worker.meter(0)
    with meter.stage(Stage.WRITE):
        pass
    try:
        with meter.stage(Stage.WRITE):
            raise ValueError
    except ValueError:
        pass
    assert values_of(worker)['carecase_chunk_stage_seconds_count{stage="write"}'] == 2


def test_spans_that_are_lost_are_counted_while_tracing_is_on() -> None:
    traced = WorkerMetrics.of(2, DATABASES, (), list, is_traced=True)
    for process, spans in ((0, 3), (1, 4)):
        in_a_killed_process(partial(traced.meter(process).lose_spans, spans))
    assert values_of(traced)["carecase_spans_lost_total"] == 7
    assert "carecase_spans_lost_total" not in values_of(metrics())


def test_the_number_of_series_is_fixed_by_the_configuration() -> None:
    """Neither a database that is not configured nor an unknown operation adds one."""
    worker = metrics()
    before = set(values_of(worker))
    for meter in (worker.meter(0), worker.meter(1), unmetered()):
        meter.attempts("unknown", 1)
        meter.poison("unknown", 1)
        meter.round_trip("unknown", 1.0)
    assert set(values_of(worker)) == before
    kinds = len(FailureKind) + 1
    assert len([name for name in before if name.startswith("carecase_chunk_attempts")]) == kinds * len(DATABASES)


def test_a_worker_shows_when_the_certificates_end_by_which_it_reaches_redis(tmp_path: Path) -> None:
    files = certificates(tmp_path / "tls")
    shown = values_of(metrics_of(load(environment={"CARECASE_REDIS_CA_FILE": str(files.ca)})))
    ends = shown['carecase_certificate_expiry_timestamp_seconds{setting="redis.ca_file"}']
    assert ends == pytest.approx(time.time() + 86_400, abs=3_600)
