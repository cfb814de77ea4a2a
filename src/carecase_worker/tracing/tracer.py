"""Protocols of tracers and spans for the rest of the package, and the tracer that records nothing.

OpenTelemetry (`otlp.py`) is imported only when tracing is on.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from carecase_worker.errors import SettingsError
from carecase_worker.settings.sections.tracing import TracingSettings
from carecase_worker.telemetry import MetricSample
from carecase_worker.traceparent import TraceParent

ATTRIBUTES: Mapping[str, str] = {
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "error": "error.type",
    "job_id": "carecase.job_id",
    "chunk_no": "carecase.chunk_no",
    "chunks": "carecase.chunks",
    "database": "carecase.database",
    "items": "carecase.items",
    "verdict": "carecase.verdict",
}
"""The only attributes a span can have, named as in log lines: ids, counts and names."""

_MODULE = "carecase_worker.tracing.otlp"


class Span(Protocol):
    """A unit of work in a trace. As a context manager it ends on exit, and is marked as failed by an error."""

    @property
    def traceparent(self) -> TraceParent | None:
        """Its context, for the work that follows from it; None if there is no trace."""
        ...

    def child(self, name: str, **facts: str | int) -> "Span":
        """Begin a child of this span."""
        ...

    def past(self, name: str, began_ns: int, parent: TraceParent | None = None, **facts: str | int) -> None:
        """Record a child of this span that ends now; with `parent`, a child of that span, linked to this one."""
        ...

    def link(self, to: TraceParent | None) -> None:
        """Link this span to one that it follows from."""
        ...

    def add(self, **facts: str | int) -> None:
        """Add attributes; those not in ATTRIBUTES are dropped."""
        ...

    def fail(self, reason: str) -> None:
        """Mark the span as failed; `reason` is one of a closed set of names, or an error's type."""
        ...

    def end(self, at_ns: int | None = None) -> None:
        """End the span, now or at an earlier time; a span that is never ended is not sent."""
        ...

    def __enter__(self) -> "Span":
        """Return the span."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None:
        """End the span."""
        ...


class Tracer(Protocol):
    """A source of spans."""

    def request(self, method: str, sent: TraceParent | None) -> Span:
        """Begin the span of a request; `sent` is the client's span.

        A request that only reads, such as a poll, has a span only if `sent` is sampled.
        """
        ...

    def attempt(self, sent: Sequence[TraceParent | None], began_ns: int | None = None) -> Span:
        """Begin the span of an attempt at some chunks, linked to the requests that sent them.

        `began_ns` is its start if that lies in the past. An attempt at one chunk is in the trace of its request, one at
        several chunks in a trace of its own.
        """
        ...

    def samples(self) -> Iterable[MetricSample]:
        """Return the metrics."""
        ...

    def close(self) -> None:
        """Send the queued spans, within `tracing.timeout_seconds`."""
        ...


@dataclass(frozen=True, slots=True)
class Untraced:
    """A span that is not recorded; it propagates the client's trace context, if there is one."""

    traceparent: TraceParent | None = None

    def child(self, name: str, **facts: str | int) -> "Untraced":  # noqa: ARG002  # as a span has it, here and below
        """Return this span."""
        return self

    def past(self, name: str, began_ns: int, parent: TraceParent | None = None, **facts: str | int) -> None:
        """Record nothing."""

    def link(self, to: TraceParent | None) -> None:
        """Record nothing."""

    def add(self, **facts: str | int) -> None:
        """Record nothing."""

    def fail(self, reason: str) -> None:
        """Record nothing."""

    def end(self, at_ns: int | None = None) -> None:
        """Record nothing."""

    def __enter__(self) -> "Untraced":
        """Return this span."""
        return self

    def __exit__(self, *_: object) -> None:
        """Record nothing."""


UNTRACED = Untraced()


class NoTracer:
    """The tracer used while tracing is off."""

    def request(self, method: str, sent: TraceParent | None) -> Span:  # noqa: ARG002  # as a tracer has it, here and below
        """Return a span that is not recorded."""
        return UNTRACED if sent is None else Untraced(sent)

    def attempt(self, sent: Sequence[TraceParent | None], began_ns: int | None = None) -> Span:  # noqa: ARG002
        """Return a span that is not recorded."""
        return UNTRACED

    def samples(self) -> Iterable[MetricSample]:
        """Return no metrics."""
        return ()

    def close(self) -> None:
        """Do nothing."""


NO_TRACER = NoTracer()


def tracer_of(settings: TracingSettings, role: str, on_lost: Callable[[int], None] = lambda _: None) -> Tracer:
    """Make the tracer of a process, with a thread that sends its spans: call it after the last fork.

    `on_lost` is called with the number of spans whenever some are lost.

    Raises SettingsError if tracing is on and OpenTelemetry is not installed.
    """
    require_installed(settings)
    if settings.endpoint is None:
        return NO_TRACER
    tracer: Tracer = importlib.import_module(_MODULE).OtlpTracer(settings, role, on_lost)
    return tracer


def require_installed(settings: TracingSettings) -> None:
    """Raise SettingsError if tracing is on and OpenTelemetry is not installed."""
    if settings.endpoint is None:
        return
    try:
        importlib.import_module(_MODULE)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise SettingsError(
            "tracing.endpoint: needs OpenTelemetry, which is not installed here;"
            " run: pip install 'carecase-worker[otel]', or leave the setting out"
        ) from None


def lost_spans(count: float) -> MetricSample:
    """Return the metric of the spans that a process, or all of a worker's, could not send."""
    text = "Spans that were not sent: the queue was full, or the collector did not accept them"
    return MetricSample("carecase_spans_lost", text, count, {}, counter=True)
