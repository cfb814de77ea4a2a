"""Metrics of a worker: counted by its pool processes in shared memory, exposed by its main process."""

import mmap
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import chain, count

from carecase_worker.clock import monotonic
from carecase_worker.errors import FailureKind
from carecase_worker.settings.model import Settings
from carecase_worker.store.redis.certificates import certificate_expiries
from carecase_worker.telemetry import SHORT_BOUNDS_S, Gauges, HistogramSample, MetricSample, build_info, exposition
from carecase_worker.tracing.tracer import lost_spans

_CELL_BYTES = 8
_OPERATIONS = ("claim", "complete", "place", "release", "reclaim", "settle")
"""Operations of the job store that pool processes call."""
_APPLIED = ""
_STAGES = "Duration of a stage of an attempt at chunks"
_TRIPS = "Duration of a job store call in Redis"
_ATTEMPTS = "Attempts at chunks by the class of their failure; empty if they did not fail"
_POISON = "Items that were refused because they kept killing the process of their chunk"


class Stage(Enum):
    """Stages of an attempt: claim, plan, write in one transaction, store the outcomes."""

    CLAIM = "claim"
    VALIDATE = "validate"
    WRITE = "write"
    COMPLETE = "complete"


class Meter:
    """Counts and histograms of one pool process, in its part of the shared memory.

    Each part has one writer, so there are no locks; the counts of a killed process remain. A call takes less than a
    microsecond.
    """

    def __init__(self, cells: "memoryview[float]", places: Mapping[tuple[str, ...], int]) -> None:
        self._cells = cells
        self._places = places

    def stage(self, stage: Stage) -> "_Timed":
        """Return a context that measures a stage, whether it succeeds or fails."""
        return _Timed(self, ("stage", stage.value))

    def round_trip(self, operation: str, seconds: float) -> None:
        """Observe a round trip to Redis."""
        self.observe(("operation", operation), seconds)

    def attempts(self, database: str, chunks: int, failure: FailureKind | None = None) -> None:
        """Count attempts at chunks of a database, by their failure; None if they were applied."""
        self._add(("attempts", database, failure.value if failure else _APPLIED), chunks)

    def poison(self, database: str, items: int) -> None:
        """Count items that kept killing their process."""
        self._add(("poison", database), items)

    def lose_spans(self, spans: int) -> None:
        """Count spans that were not sent; one thread at a time."""
        self._add(("spans lost",), spans)

    def _add(self, name: tuple[str, ...], by: float) -> None:
        place = self._places.get(name)
        if place is not None:  # a database that is not configured here is not told of
            self._cells[place] += by

    def observe(self, name: tuple[str, ...], seconds: float) -> None:
        """Add a duration to a histogram."""
        place = self._places.get(name)
        if place is not None:
            self._cells[place + bisect_left(SHORT_BOUNDS_S, seconds)] += 1
            self._cells[place + len(SHORT_BOUNDS_S) + 1] += seconds


class _Timed:
    """A context manager that measures its duration; a generator-based one would take three times as long."""

    __slots__ = ("_began", "_meter", "_name")

    def __init__(self, meter: Meter, name: tuple[str, ...]) -> None:
        self._meter = meter
        self._name = name
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = monotonic()

    def __exit__(self, *_: object) -> None:
        self._meter.observe(self._name, monotonic() - self._began)


@dataclass(frozen=True, slots=True)
class WorkerMetrics:
    """The metrics of a worker, with a part of the shared memory for each pool process.

    The memory is allocated before the pool, so that forked processes inherit it. So metrics need no files, no Redis and
    no lock, and their number is fixed by the configuration. A process that replaces another one continues to count in
    its part.
    """

    memory: "memoryview[float]"
    places: Mapping[tuple[str, ...], int]
    size: int
    gauges: Gauges

    @classmethod
    def of(
        cls,
        processes: int,
        databases: Sequence[str],
        operations: Sequence[str],
        gauges: Gauges,
        is_traced: bool = False,
    ) -> "WorkerMetrics":
        """Allocate the metrics of the pool processes; the main process reads `gauges` at each scrape."""
        places: dict[tuple[str, ...], int] = {}
        histogram, size = len(SHORT_BOUNDS_S) + 2, 0
        for name in (*(("stage", one.value) for one in Stage), *(("operation", one) for one in operations)):
            places[name], size = size, size + histogram
        failures = (_APPLIED, *(kind.value for kind in FailureKind))
        counts: list[tuple[str, ...]] = [("attempts", name, failure) for name in databases for failure in failures]
        counts += [("poison", name) for name in databases]
        counts += [("spans lost",)] if is_traced else []
        places |= dict(zip(counts, count(size), strict=False))
        size += len(counts)
        memory = memoryview(mmap.mmap(-1, processes * size * _CELL_BYTES)).cast("d")
        return cls(memory, places, size, gauges)

    def meter(self, process: int) -> Meter:
        """Return the meter of a pool process, by its number from 0."""
        return Meter(self.memory[process * self.size : (process + 1) * self.size], self.places)

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes. For the main process; any thread may call it."""
        return exposition(self._samples)

    def _samples(self) -> Iterator[MetricSample | HistogramSample]:
        sums = [sum(self.memory[place :: self.size]) for place in range(self.size)]
        yield build_info("worker")
        yield from self.gauges()
        for (kind, *labels), place in self.places.items():
            match kind, labels:
                case "stage", [stage]:
                    yield _histogram("carecase_chunk_stage_seconds", _STAGES, {"stage": stage}, sums[place:])
                case "operation", [name]:
                    yield _histogram("carecase_redis_round_trip_seconds", _TRIPS, {"operation": name}, sums[place:])
                case "attempts", [name, failure]:
                    attempted = {"database": name, "failure": failure}
                    yield MetricSample("carecase_chunk_attempts", _ATTEMPTS, sums[place], attempted, counter=True)
                case "poison", [name]:
                    yield MetricSample("carecase_poison_items", _POISON, sums[place], {"database": name}, counter=True)
                case _:  # "spans lost"
                    yield lost_spans(sums[place])


def metrics_of(settings: Settings, *gauges: Gauges) -> WorkerMetrics:
    """Return the metrics of a worker; its main process reads the gauges at each scrape."""
    all_gauges: tuple[Gauges, ...] = (*gauges, partial(certificate_expiries, settings.redis))
    return WorkerMetrics.of(
        settings.worker.concurrency,
        tuple(settings.databases),
        _OPERATIONS,
        lambda: chain.from_iterable(each() for each in all_gauges),
        is_traced=settings.tracing.endpoint is not None,
    )


def _histogram(name: str, text: str, labels: Mapping[str, str], cells: Sequence[float]) -> HistogramSample:
    buckets = list(zip((*SHORT_BOUNDS_S, float("inf")), cells, strict=False))
    return HistogramSample(name, text, buckets, cells[len(buckets)], labels)


def unmetered() -> Meter:
    """Return a meter that counts nothing."""
    return Meter(memoryview(bytearray()).cast("d"), {})
