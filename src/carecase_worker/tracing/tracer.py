"""Tracers and spans as the rest of the package has them, and the tracer that records nothing.

OpenTelemetry is imported only once a tracer is made that records: `otlp.py` is its home.
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
"""The only facts that a span can have, by the names that they have in a line of the log: ids, counts and names."""

_MODULE = "carecase_worker.tracing.otlp"


class Span(Protocol):
    """A piece of work in a trace. As a context it ends when it is left, failed if by an error."""

    @property
    def traceparent(self) -> TraceParent | None:
        """Its place in the trace, for the work that follows from it; None if there is no trace."""
        ...

    def child(self, name: str, **facts: str | int) -> "Span":
        """Begin a part of this span."""
        ...

    def past(self, name: str, began_ns: int, parent: TraceParent | None = None, **facts: str | int) -> None:
        """Record a part of this span that ends now; with `parent`, a part of that span, linked to this one."""
        ...

    def link(self, to: TraceParent | None) -> None:
        """Name a span that this one follows from."""
        ...

    def add(self, **facts: str | int) -> None:
        """Add facts, see ATTRIBUTES; others are left out."""
        ...

    def fail(self, reason: str) -> None:
        """Note that the work failed; `reason` is one of a closed set of names, or an error's type."""
        ...

    def end(self, at_ns: int | None = None) -> None:
        """End the span, now or at a moment that has passed; a span that is not ended is not sent."""
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
    """A maker of spans."""

    def request(self, method: str, sent: TraceParent | None) -> Span:
        """Begin the span of a request; `sent` is that of its client.

        A request that only reads, as a poll, has one only if `sent` is sampled.
        """
        ...

    def attempt(self, sent: Sequence[TraceParent | None], began_ns: int | None = None) -> Span:
        """Begin the span of an attempt at some chunks, linked to the requests that sent them; it may have begun before.

        An attempt at one chunk is in the trace of its request, one at several chunks in a trace of its own.
        """
        ...

    def readings(self) -> Iterable[MetricSample]:
        """Return the metrics."""
        ...

    def close(self) -> None:
        """Send the spans that wait, for as long as `tracing.timeout_seconds` at most."""
        ...


@dataclass(frozen=True, slots=True)
class Untraced:
    """A span of which nothing is recorded; it passes on the client's place in a trace, if it has one."""

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
    """The tracer while tracing is off."""

    def request(self, method: str, sent: TraceParent | None) -> Span:  # noqa: ARG002  # as a tracer has it, here and below
        """Return a span that is not recorded."""
        return UNTRACED if sent is None else Untraced(sent)

    def attempt(self, sent: Sequence[TraceParent | None], began_ns: int | None = None) -> Span:  # noqa: ARG002
        """Return a span that is not recorded."""
        return UNTRACED

    def readings(self) -> Iterable[MetricSample]:
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
    text = "Spans that were not sent: too many waited, or the collector did not take them"
    return MetricSample("carecase_spans_lost", text, count, {}, counter=True)
