"""The tracer that sends its spans to a collector by OTLP over HTTP; the only home of OpenTelemetry.

Its provider is nobody else's: nothing is registered for the whole process, where other libraries would find it and add
spans with URLs, statements or texts of errors in them.
"""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import Tracer as OtelTracer

from carecase_worker.settings.tracing import TracingSettings
from carecase_worker.telemetry import MetricSample
from carecase_worker.traceparent import TraceParent
from carecase_worker.tracing.sending import Sending, SpanQueue
from carecase_worker.tracing.tracer import ATTRIBUTES, Span, Untraced
from carecase_worker.version import VERSION

_AT_ONCE = 512
"""Spans in one request to the collector, at most."""
_WAIT_MS = 2000
"""Milliseconds for which a span waits for others, at most."""
_MOST_LINKS = 100
"""Links of a span, at most: as many as a group has chunks."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class OtlpTracer:
    """A maker of spans; a thread sends them. A span that finds no room is lost, and counted."""

    def __init__(self, settings: TracingSettings, role: str) -> None:
        self._timeout_s = settings.timeout.total_seconds()
        self._queue = SpanQueue(settings.max_spans)
        exporter = OTLPSpanExporter(
            endpoint=settings.endpoint,
            headers=settings.by_name,
            timeout=self._timeout_s,
            compression=Compression.NoCompression,
        )
        self._sending = Sending(exporter, self._queue)
        self._processor = BatchSpanProcessor(
            self._sending,
            max_queue_size=settings.max_spans,
            schedule_delay_millis=_WAIT_MS,
            max_export_batch_size=min(_AT_ONCE, settings.max_spans),
        )
        resource = Resource(_names(settings.service_name, role))
        self._tracer = self._made(ParentBased(TraceIdRatioBased(settings.sample_ratio)), resource)
        self._always = self._made(ALWAYS_ON, resource)

    def request(self, method: str, sent: TraceParent | None) -> Span:
        """Begin the span of a request; one that only reads has one if its client's is sampled."""
        if method in _READING and not (sent and sent.sampled):
            return Untraced(sent)
        context = _context_of(sent) if sent else Context()
        return self._begun(self._tracer.start_span(method, context, SpanKind.SERVER, _facts({"method": method})))

    def attempt(self, sent: Sequence[TraceParent | None], began_ns: int | None = None) -> Span:
        """Begin the span of an attempt at some chunks, linked to the requests that sent them."""
        known = [one for one in sent if one is not None]
        context = _context_of(known[0]) if len(sent) == len(known) == 1 else Context()
        tracer = self._always if len(sent) > 1 and any(one.sampled for one in known) else self._tracer
        name, links = ("chunk" if len(sent) == 1 else "group"), [Link(_place(one)) for one in known[:_MOST_LINKS]]
        facts = _facts({"chunks": len(sent)})
        return self._begun(tracer.start_span(name, context, SpanKind.CONSUMER, facts, links, began_ns))

    def readings(self) -> Iterator[MetricSample]:
        """Yield the metrics."""
        text = "Spans that were not sent: too many waited, or the collector did not take them"
        yield MetricSample("carecase_spans_lost", text, self._queue.lost, {}, counter=True)

    def close(self) -> None:
        """Send the spans that wait, for as long as the timeout at most."""
        self._sending.end_within(self._timeout_s)
        self._processor.shutdown()  # type: ignore[no-untyped-call]
        self._queue.tell(is_last=True)

    def part(self, name: str, context: Context, began_ns: int | None = None, **more: Any) -> OtelSpan:
        """Begin a span within another one."""
        return self._tracer.start_span(name, context, start_time=began_ns, **more)

    def ended(self, span: OtelSpan, at_ns: int | None = None) -> None:
        """End a span, and put it into the queue if there is room."""
        if self._queue.enter():
            span.end(at_ns)

    def _made(self, sampler: Sampler, resource: Resource) -> OtelTracer:
        limits = SpanLimits(max_links=_MOST_LINKS)
        provider = TracerProvider(sampler, resource, shutdown_on_exit=False, span_limits=limits)
        provider.add_span_processor(self._processor)
        return provider.get_tracer("carecase_worker", VERSION)

    def _begun(self, span: OtelSpan) -> Span:
        return _Recorded(self, span) if span.is_recording() else Untraced(_traceparent(span))


@dataclass(slots=True)
class _Recorded:
    """A span that is recorded."""

    tracer: OtlpTracer
    span: OtelSpan

    @property
    def traceparent(self) -> TraceParent:
        """Its place in the trace."""
        return _traceparent(self.span)

    def child(self, name: str, **facts: str | int) -> "_Recorded":
        """Begin a part of this span."""
        return _Recorded(self.tracer, self.tracer.part(name, self._context(), attributes=_facts(facts)))

    def past(self, name: str, began_ns: int, parent: TraceParent | None = None, **facts: str | int) -> None:
        """Record a part of this span, or of another one, that ends now."""
        context, links = self._context(), []
        if parent is not None:
            context, links = _context_of(parent), [Link(self.span.get_span_context())]
        part = self.tracer.part(name, context, began_ns, attributes=_facts(facts), links=links)
        if part.is_recording():
            self.tracer.ended(part)

    def link(self, to: TraceParent | None) -> None:
        """Name a span that this one follows from."""
        if to is not None:
            self.span.add_link(_place(to))

    def add(self, **facts: str | int) -> None:
        """Add facts; the route also names the span."""
        self.span.set_attributes(_facts(facts))
        if {"method", "route"} <= set(facts):
            self.span.update_name(f"{facts['method']} {facts['route']}")

    def fail(self, reason: str) -> None:
        """Note that the work failed."""
        self.span.set_status(Status(StatusCode.ERROR, reason))
        self.span.set_attributes(_facts({"error": reason}))

    def end(self, at_ns: int | None = None) -> None:
        """End the span."""
        self.tracer.ended(self.span, at_ns)

    def __enter__(self) -> "_Recorded":
        """Return the span."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None:
        """End the span; of an error only the type is told."""
        if kind is not None:
            self.fail(kind.__name__)
        self.end()

    def _context(self) -> Context:
        return set_span_in_context(self.span, Context())


def _names(service_name: str, role: str) -> dict[str, str]:
    """Return the attributes that name this process."""
    return {
        "service.name": f"{service_name}-{role}",
        "service.version": VERSION,
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
    }


def _facts(facts: Mapping[str, str | int]) -> dict[str, str | int]:
    return {ATTRIBUTES[name]: fact for name, fact in facts.items() if name in ATTRIBUTES}


def _place(sent: TraceParent) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if sent.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(sent.trace_id, 16), int(sent.span_id, 16), is_remote=True, trace_flags=flags)


def _context_of(sent: TraceParent) -> Context:
    return set_span_in_context(NonRecordingSpan(_place(sent)), Context())


def _traceparent(span: OtelSpan) -> TraceParent:
    place = span.get_span_context()
    return TraceParent(format_trace_id(place.trace_id), format_span_id(place.span_id), place.trace_flags.sampled)
