"""Logs and metrics, and the fields allowed in them."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, assert_never

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from carecase_worker.settings.model import LogSettings
from carecase_worker.version import VERSION

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "job_id", "chunk_no", "items", "database", "client", "activity_id", "method",
        "route", "status", "duration_ms", "verdict", "role", "count", "error", "where", "reason", "pid", "user",
        "bytes", "bytes_sent", "new_job_id", "address", "trace_id", "dry_run",
    }
)  # fmt: skip
"""The only fields a log line can have: ids, counts and names, never a value of a case; docs/privacy.md shows a line."""

Gauges = Callable[[], Iterable["MetricSample | HistogramSample"]]
Observe = Callable[[str, float], None]
"""A callback that receives an operation's name and its duration in seconds."""
SHORT_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Histogram bucket bounds in seconds, for durations from 0.1 ms to 10 s."""


def unobserved(_: str, __: float) -> None:
    """Observe nothing."""


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One value read at the time of a scrape."""

    name: str
    text: str
    value: float
    labels: Mapping[str, str]
    counter: bool = False


@dataclass(frozen=True, slots=True)
class HistogramSample:
    """A histogram read at the time of a scrape; its buckets are bounds with their own counts, the last bound is inf."""

    name: str
    text: str
    buckets: Sequence[tuple[float, float]]
    total: float
    labels: Mapping[str, str]


def build_info(role: str) -> MetricSample:
    """Return the sample that reports the version of a role."""
    return MetricSample(
        "carecase_build_info", "Version of this package; always 1", 1, {"role": role, "version": VERSION}
    )


def configure_logging(settings: LogSettings) -> None:
    """Send structlog's and the standard library's records to stderr, in the configured form."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, _first_line_only],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    logging.captureWarnings(True)
    for noisy in ("httpx", "httpcore", "alembic", "celery.worker.strategy", "celery.app.trace", "tornado.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("opentelemetry").setLevel(
        logging.CRITICAL
    )  # spans that are lost have a line of ours, once a minute
    logging.getLogger("uvicorn.error.connection").setLevel(logging.ERROR)  # our own access log reports the same


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one part of the package."""
    log: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return log


def _only_allowed(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value for name, value in event.items() if name in ALLOWED or name.startswith("_")}


def _first_line_only(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Reduce a record of another library to its message's first line, and an error to its type.

    A traceback or a driver's message can quote the values that were being written.
    """
    event["event"] = str(event.get("event", "")).split("\n", 1)[0]
    record = event.get("_record")
    if record is not None and record.exc_info:
        event["error"] = getattr(record.exc_info[0], "__name__", "error")
        record.exc_info = record.exc_text = None
    return event


_SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _only_allowed,
]
_PROCESSORS = [*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
"""One list for every call of configure_logging: a logger caches the processors of its first use."""


class Metrics:
    """Metrics of the intake: counted here, or read from the job store at the time of a scrape."""

    def __init__(self, gauges: Gauges) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "carecase_http_requests", "Requests answered", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram("carecase_http_request_seconds", "Time to answer", ["route"], registry=self._registry)
        self._accepted = Histogram(
            "carecase_acceptance_seconds",
            "Time from the last byte of a batch until it was accepted",
            buckets=SHORT_BOUNDS_S,
            registry=self._registry,
        )
        self._trips = Histogram(
            "carecase_redis_round_trip_seconds",
            "Duration of a job store call in Redis",
            ["operation"],
            buckets=SHORT_BOUNDS_S,
            registry=self._registry,
        )
        self._registry.register(_Samples(gauges))

    def accepted(self, seconds: float) -> None:
        """Observe the acceptance of a batch, `seconds` after its last byte was received."""
        self._accepted.observe(seconds)

    def round_trip(self, operation: str, seconds: float) -> None:
        """Observe a round trip to Redis."""
        self._trips.labels(operation).observe(seconds)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request and its response. `route` is the path's pattern, not the path."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_from_zero(self, route: str, method: str, statuses: Iterable[int]) -> None:
        """Show these counts as 0 until there are such responses; to Prometheus, a first value is no rise."""
        for status in statuses:
            self._requests.labels(route, method, str(status))

    def render(self) -> bytes:
        """Return the metrics in the text format that Prometheus scrapes."""
        return generate_latest(self._registry)


def exposition(gauges: Gauges) -> bytes:
    """Return samples in the text format that Prometheus scrapes."""
    registry = CollectorRegistry()
    registry.register(_Samples(gauges))
    return generate_latest(registry)


def register_process_metrics(gauges: Gauges) -> None:
    """Register samples with the process's default registry, which Flower serves."""
    REGISTRY.register(_Samples(gauges))


class _Samples(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Any] = {}
        for sample in self._gauges():
            if sample.name not in families:
                families[sample.name] = _family_of(sample)
            labels = list(sample.labels.values())
            match sample:
                case MetricSample():
                    families[sample.name].add_metric(labels, sample.value)
                case HistogramSample():
                    bounds, counts = zip(*sample.buckets, strict=True)
                    cumulated = zip(map(floatToGoString, bounds), accumulate(counts), strict=True)
                    families[sample.name].add_metric(labels, list(cumulated), sample.total)
                case never:
                    assert_never(never)
        yield from families.values()


def _family_of(sample: MetricSample | HistogramSample) -> Metric:
    labels = list(sample.labels)
    if isinstance(sample, HistogramSample):
        return HistogramMetricFamily(sample.name, sample.text, labels=labels)
    kind = CounterMetricFamily if sample.counter else GaugeMetricFamily
    return kind(sample.name, sample.text, labels=labels)
