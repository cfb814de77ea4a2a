"""Measures of jobs, as the metrics show them: durations by Redis's clock, the oldest job, the circuit breaker."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest
import redis
from tests.builders import a_new_job
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.job import COUNTS, State
from carecase_worker.store.operations.claims import ChunkResult, RetryLater
from carecase_worker.store.queries.measures import DURATION_BOUNDS_MS, JobMeasures
from carecase_worker.telemetry import HistogramSample, MetricSample

Elapse = Callable[[timedelta], None]
DONE = ChunkResult(b"outcomes", dict.fromkeys(COUNTS, 0) | {"created": 1})


@pytest.fixture
def measures(servers: Services, store: Stores) -> Iterator[JobMeasures]:
    settings = RedisSettings.model_validate({"url": servers.redis_url, "prefix": store.keys.prefix})
    made = JobMeasures(settings, JobSettings(max_backlog_jobs=7, max_backlog_bytes=9), ("demo", "idle"))
    yield made
    made.close()


def admitted(store: Stores) -> ChunkRef:
    """The only chunk of a new job of one item."""
    return store.batches.admit(a_new_job(total=1, chunk_firsts=(0,)), {0: b"items"}).to_notify[0]


def values(measures: JobMeasures, name: str) -> dict[str, float]:
    """The values of a metric by database."""
    return {
        one.labels.get("database", ""): one.value
        for one in measures()
        if isinstance(one, MetricSample) and one.name == name
    }


def filled(measures: JobMeasures, name: str) -> list[tuple[float, float]]:
    """The buckets of a histogram of the database `demo` that are not empty."""
    histograms = [one for one in measures() if isinstance(one, HistogramSample) and one.name == name]
    assert [one.labels["database"] for one in histograms] == ["demo", "idle"]
    assert not any(count for _, count in histograms[1].buckets)
    return [(bound, count) for bound, count in histograms[0].buckets if count]


def test_the_scripts_count_by_the_bounds_that_are_documented() -> None:
    text = (resources.files("carecase_worker.store") / "lua" / "prelude.lua").read_text()
    (bounds,) = re.findall(r"\blocal bounds_ms = {([\d, ]+)}", text)
    assert tuple(map(int, bounds.split(", "))) == DURATION_BOUNDS_MS
    assert (DURATION_BOUNDS_MS[0], DURATION_BOUNDS_MS[-1]) == (5, 3_600_000)


def test_a_job_is_measured_from_its_acceptance_once(store: Stores, measures: JobMeasures, elapse: Elapse) -> None:
    chunk = admitted(store)
    elapse(timedelta(seconds=20))
    store.leases.claim(chunk, "a")
    elapse(timedelta(seconds=25))
    store.leases.release([chunk], "a", RetryLater(timedelta(0)))
    store.leases.claim(chunk, "a")
    assert filled(measures, "carecase_job_wait_seconds") == [(30.0, 1)], (
        "it waited for 20 s, and the second claim is no wait"
    )
    assert filled(measures, "carecase_job_seconds") == []
    for _ in range(2):
        store.leases.complete(chunk, DONE)
    assert filled(measures, "carecase_job_seconds") == [(60.0, 1)], "45 s; a repeated call counts nothing"
    total = next(
        one.total for one in measures() if isinstance(one, HistogramSample) and one.name == "carecase_job_seconds"
    )
    assert 45 <= total < 50


def test_a_job_that_takes_longer_than_an_hour_is_in_the_last_bucket(
    store: Stores, measures: JobMeasures, elapse: Elapse
) -> None:
    chunk = admitted(store)
    elapse(timedelta(hours=2))
    store.leases.claim(chunk, "a")
    store.leases.complete(chunk, DONE)
    assert filled(measures, "carecase_job_seconds") == [(float("inf"), 1)]


def test_the_oldest_job_ages_until_it_is_final(store: Stores, measures: JobMeasures, elapse: Elapse) -> None:
    name = "carecase_oldest_job_age_seconds"
    assert values(measures, name) == {"demo": 0, "idle": 0}
    first = admitted(store)
    elapse(timedelta(seconds=40))
    second = admitted(store)
    assert 40 <= values(measures, name)["demo"] < 60
    for chunk in (first, second):
        store.leases.claim(chunk, "a")
        store.leases.complete(chunk, DONE)
        assert values(measures, name)["demo"] < 20, "the second one is younger, then there is none"
    assert values(measures, name) == {"demo": 0, "idle": 0}


def test_the_breaker_is_open_until_the_database_has_answered(store: Stores, measures: JobMeasures) -> None:
    name, away = "carecase_circuit_breaker_open", RetryLater(timedelta(0), timedelta(milliseconds=1), reason="refused")
    chunk = admitted(store)
    store.leases.claim(chunk, "a")
    assert values(measures, name) == {"demo": 0, "idle": 0}
    store.leases.release([chunk], "a", away)
    assert values(measures, name) == {"demo": 1, "idle": 0}
    store.leases.claim(chunk, "a")
    assert values(measures, name)["demo"] == 1, "one attempt finds out whether it is back"
    store.leases.complete(chunk, DONE)
    assert values(measures, name)["demo"] == 0


def test_leases_that_end_and_chunks_that_are_taken_back_are_counted(
    store: Stores, measures: JobMeasures, elapse: Elapse
) -> None:
    chunk = admitted(store)
    store.leases.claim(chunk, "a")
    elapse(timedelta(seconds=16))
    store.leases.claim(chunk, "b")
    assert values(measures, "carecase_lease_expirations") == {"demo": 1, "idle": 0}
    assert values(measures, "carecase_reclaimed_chunks") == {"demo": 0, "idle": 0}
    assert store.leases.reclaim("b") == [("demo", chunk)]
    assert values(measures, "carecase_reclaimed_chunks") == {"demo": 1, "idle": 0}
    assert values(measures, "carecase_lease_expirations") == {"demo": 1, "idle": 0}


def test_the_limits_of_the_backlog_are_named(measures: JobMeasures) -> None:
    assert values(measures, "carecase_backlog_max_jobs") == {"": 7}
    assert values(measures, "carecase_backlog_max_bytes") == {"": 9}


def test_a_job_that_an_earlier_version_accepted_is_measured_from_its_place_in_the_order(
    store: Stores, raw_redis: redis.Redis, measures: JobMeasures
) -> None:
    """Its record has no moment of acceptance; places are milliseconds of the same clock."""
    chunk = admitted(store)
    raw_redis.hdel(store.keys.job(chunk.job_id), "accepted_us")
    job = store.jobs.job(chunk.job_id)
    lease = store.leases.claim(chunk, "a").lease
    assert lease is not None
    assert lease.accepted_at == datetime.fromtimestamp(job.seq / 1000, UTC)
    store.leases.complete(chunk, DONE)
    assert store.jobs.job(chunk.job_id).state is State.COMPLETED
    for name in ("carecase_job_wait_seconds", "carecase_job_seconds"):
        assert sum(count for _, count in filled(measures, name)) == 1
