"""Logs and metrics, and the fields allowed in them."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from carecase_worker.settings.model import LogSettings

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "job_id", "chunk_no", "items", "database", "client", "activity_id", "method",
        "route", "status", "duration_ms", "verdict", "role", "count", "error", "where", "reason", "pid", "user",
        "bytes", "bytes_sent", "new_job_id", "address", "trace_id",
    }
)  # fmt: skip
"""The only fields a log line can have: ids, counts and names, never a value of a case; docs/privacy.md shows a line."""

Gauges = Callable[[], Iterable["MetricSample"]]


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One value read at the time of a scrape."""

    name: str
    text: str
    value: float
    labels: Mapping[str, str]
    counter: bool = False


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
"""The same list for every call of configure_logging: a logger keeps the one that it was first used with."""


class Metrics:
    """Metrics of the intake: counted here, or read from the job store at the time of a scrape."""

    def __init__(self, gauges: Gauges) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "carecase_http_requests", "Requests answered", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram("carecase_http_request_seconds", "Time to answer", ["route"], registry=self._registry)
        self._registry.register(_Readings(gauges))

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request. `route` is the path's pattern, not the path."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self._registry)


def tell_of_process(gauges: Gauges) -> None:
    """Add readings to those of the process's own registry, which Flower serves."""
    REGISTRY.register(_Readings(gauges))


class _Readings(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for reading in self._gauges():
            family = families.get(reading.name)
            if family is None:
                kind = CounterMetricFamily if reading.counter else GaugeMetricFamily
                family = families[reading.name] = kind(reading.name, reading.text, labels=list(reading.labels))
            family.add_metric(list(reading.labels.values()), reading.value)  # type: ignore[attr-defined]
        yield from families.values()
