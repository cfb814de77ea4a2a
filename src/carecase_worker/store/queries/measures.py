"""Measures of the jobs of each database: age of the oldest open one, durations, lost leases, the circuit breaker."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from carecase_worker.clock import from_epoch_us
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.keys import Keys
from carecase_worker.store.operations.calls import oldest_of
from carecase_worker.store.redis.connection import connect, moment_of, redis_errors
from carecase_worker.telemetry import HistogramSample, MetricSample

DURATION_BOUNDS_MS = (
    5,
    10,
    25,
    50,
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10_000,
    30_000,
    60_000,
    300_000,
    900_000,
    3_600_000,
)
"""Upper bounds of the histogram buckets, the same as in `prelude.lua`."""

_OLDEST = "Age of the oldest accepted job that is not final; 0 if all are"
_BREAKER = "1 while the circuit breaker is open: the database is away, and one attempt at a time probes if it is back"
_FINAL = "Time from the acceptance of a job until it is final"
_WAITED = "Time from the acceptance of a job until its first attempt"
_EXPIRED = "Leases of chunks that expired before their holder reported back"
_RECLAIMED = "Chunks that were taken back from dead processes"
METRICS_TIMEOUT = timedelta(seconds=2)
"""Response timeout of Redis for metrics and readiness; with one retry it is below Prometheus's scrape timeout."""

Counted = Mapping[str, int]
"""The scripts' counts, by `{database}|{what}`."""


@dataclass(frozen=True, slots=True)
class OpenWork:
    """The open work of one database: age of its oldest job, and whether its circuit breaker is open."""

    oldest: timedelta
    is_breaker_open: bool


class JobMeasures:
    """Measures stored in Redis, counted by the scripts with Redis's clock, atomically with the events they measure.

    So a dying process loses none of them, and every intake reports the same. Every method raises StoreUnavailable.
    """

    def __init__(self, settings: RedisSettings, jobs: JobSettings, databases: Sequence[str]) -> None:
        self._redis = connect(settings, METRICS_TIMEOUT)
        self._keys = Keys(settings.prefix)
        self._jobs = jobs
        self._databases = databases

    def __call__(self) -> Iterator[MetricSample | HistogramSample]:
        """Yield the metrics."""
        counted, work = self.counted(), self.open_work()
        yield MetricSample(
            "carecase_backlog_max_jobs", "Limit of carecase_backlog_jobs", self._jobs.max_backlog_jobs, {}
        )
        yield MetricSample(
            "carecase_backlog_max_bytes", "Limit of carecase_backlog_bytes", self._jobs.max_backlog_bytes, {}
        )
        for name, its in work.items():
            labels = {"database": name}
            yield MetricSample("carecase_oldest_job_age_seconds", _OLDEST, its.oldest.total_seconds(), labels)
            yield MetricSample("carecase_circuit_breaker_open", _BREAKER, int(its.is_breaker_open), labels)
            expired, reclaimed = counted.get(f"{name}|lease_expired", 0), counted.get(f"{name}|reclaimed", 0)
            yield MetricSample("carecase_lease_expirations", _EXPIRED, expired, labels, counter=True)
            yield MetricSample("carecase_reclaimed_chunks", _RECLAIMED, reclaimed, labels, counter=True)
            yield HistogramSample("carecase_job_seconds", _FINAL, *_histogram(counted, f"{name}|final"), labels)
            yield HistogramSample("carecase_job_wait_seconds", _WAITED, *_histogram(counted, f"{name}|waited"), labels)

    def counted(self) -> Counted:
        """Read the counts of the scripts."""
        with redis_errors():
            stored = cast(dict[bytes, bytes], self._redis.hgetall(self._keys.measures))
        return {name.decode(): int(value) for name, value in stored.items()}

    def open_work(self) -> dict[str, OpenWork]:
        """Read the open work of each database."""
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            for database in self._databases:
                pipe.zrange(self._keys.open(database), 0, 0)
                pipe.exists(self._keys.failures(database))
            replies = pipe.execute()
            oldest = [oldest_of(members) or "" for members in replies[::2]]
            pipe.time()
            for job_id in oldest:
                pipe.hget(self._keys.job(job_id), "accepted_us")
            now, *accepted = pipe.execute()
        ages = [
            max(timedelta(0), moment_of(now) - from_epoch_us(int(accepted_us))) if accepted_us else timedelta(0)
            for accepted_us in accepted
        ]
        work = [OpenWork(age, bool(failing)) for age, failing in zip(ages, replies[1::2], strict=True)]
        return dict(zip(self._databases, work, strict=True))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _histogram(counted: Counted, what: str) -> tuple[list[tuple[float, int]], float]:
    """Return the bounds of the buckets in seconds, each with its own count, and the sum of all in seconds."""
    buckets = [(bound / 1000, counted.get(f"{what}|{bound}", 0)) for bound in DURATION_BOUNDS_MS]
    return [*buckets, (float("inf"), counted.get(f"{what}|inf", 0))], counted.get(f"{what}|us", 0) / 1_000_000
