"""The tracer that exports spans by OTLP over HTTP; only this module and `sending.py` import OpenTelemetry.

No global tracer provider is registered: other libraries would find it and add spans with URLs, statements or error
messages. Spans are built here and passed to the SDK's processor when they end: the SDK's own tracer costs more per span
than a small batch can afford.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
)

from carecase_worker.clock import wall_ns
from carecase_worker.settings.sections.tracing import TracingSettings
from carecase_worker.telemetry import MetricSample
from carecase_worker.traceparent import TraceParent
from carecase_worker.tracing.sending import Sending, SpanQueue
from carecase_worker.tracing.tracer import ATTRIBUTES, UNTRACED, Span, Untraced, lost_spans
from carecase_worker.version import VERSION

_AT_ONCE = 512
"""Maximum number of spans in one request to the collector."""
_WAIT_MS = 2000
"""Maximum time in milliseconds for which a span waits for others."""
_MOST_LINKS = 100
"""Maximum number of links of a span: that of the chunks in a group."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_SAMPLED, _NOT_SAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)
_UNSET = Status(StatusCode.UNSET)
_SCOPE = InstrumentationScope("carecase_worker", VERSION)
_RATIO_BITS = 64


class OtlpTracer:
    """A tracer whose spans are sent by a thread. A span is dropped, and counted, if the queue is full."""

    def __init__(self, settings: TracingSettings, role: str, on_lost: Callable[[int], None] = lambda _: None) -> None:
        self._timeout_s = settings.timeout.total_seconds()
        self._queue = SpanQueue(settings.max_spans, on_lost)
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
        self._resource = Resource(_names(settings.service_name, role))
        self._ids = RandomIdGenerator()
        self._sampled_below = round(settings.sample_ratio * 2**_RATIO_BITS)

    def request(self, method: str, sent: TraceParent | None) -> Span:
        """Begin the span of a request; a request that only reads has one only if its client's span is sampled."""
        if sent is None:
            return UNTRACED if method in _READING else self._root(method, SpanKind.SERVER, {"method": method})
        if not sent.sampled:
            return Untraced(sent)
        return self.begun(method, SpanKind.SERVER, _place(sent), facts={"method": method})

    def attempt(self, sent: Sequence[TraceParent | None], began_ns: int | None = None) -> Span:
        """Begin the span of an attempt at some chunks, linked to the requests that sent them."""
        known = [one for one in sent if one is not None]
        is_group, is_sampled = len(sent) > 1, any(one.sampled for one in known)
        name, facts = ("group", {"chunks": len(sent)}) if is_group else ("chunk", {})
        if not known:
            return self._root(name, SpanKind.CONSUMER, facts, began_ns)
        if not is_sampled:
            return UNTRACED
        span = self.begun(name, SpanKind.CONSUMER, None if is_group else _place(known[0]), began_ns, facts)
        span.links += [Link(_place(one)) for one in known[:_MOST_LINKS]]
        return span

    def samples(self) -> Iterator[MetricSample]:
        """Yield the metrics."""
        yield lost_spans(self._queue.lost)

    def close(self) -> None:
        """Send the queued spans, within about the timeout."""
        self._sending.end_within(self._timeout_s)
        self._processor.shutdown()  # type: ignore[no-untyped-call]
        self._queue.report_lost(is_last=True)

    def begun(
        self,
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        began_ns: int | None = None,
        facts: Mapping[str, str | int] | None = None,
    ) -> "_Recorded":
        """Begin a span within another one, or a trace."""
        trace_id = self._ids.generate_trace_id() if parent is None else parent.trace_id
        context = SpanContext(trace_id, self._ids.generate_span_id(), is_remote=False, trace_flags=_SAMPLED)
        return _Recorded(self, name, kind, context, parent, began_ns or wall_ns(), _attributes(facts or {}))

    def ended(self, span: "_Recorded", at_ns: int) -> None:
        """Queue an ended span, if there is room."""
        if not self._queue.enter():
            return
        self._processor.on_end(
            ReadableSpan(
                span.name,
                span.context,
                span.parent,
                self._resource,
                span.attributes,
                links=span.links,
                kind=span.kind,
                status=span.status,
                start_time=span.began_ns,
                end_time=at_ns,
                instrumentation_scope=_SCOPE,
            )
        )

    def _root(self, name: str, kind: SpanKind, facts: Mapping[str, str | int], began_ns: int | None = None) -> Span:
        """Begin a trace, if the sampler selects it."""
        span = self.begun(name, kind, None, began_ns, facts)
        if span.context.trace_id % 2**_RATIO_BITS < self._sampled_below:
            return span
        return Untraced(TraceParent(span.traceparent.trace_id, span.traceparent.span_id, sampled=False))


@dataclass(slots=True)
class _Recorded:
    """A recorded span."""

    tracer: OtlpTracer
    name: str
    kind: SpanKind
    context: SpanContext
    parent: SpanContext | None
    began_ns: int
    attributes: dict[str, str | int]
    links: list[Link] = field(default_factory=list)
    status: Status = _UNSET

    @property
    def traceparent(self) -> TraceParent:
        """Its place in the trace."""
        context = self.context
        return TraceParent(format_trace_id(context.trace_id), format_span_id(context.span_id), sampled=True)

    def child(self, name: str, **facts: str | int) -> "_Recorded":
        """Begin a child of this span."""
        return self.tracer.begun(name, SpanKind.INTERNAL, self.context, facts=facts)

    def past(self, name: str, began_ns: int, parent: TraceParent | None = None, **facts: str | int) -> None:
        """Record a child of this span, or of another sampled one, that ends now."""
        if parent is None:
            self.tracer.begun(name, SpanKind.INTERNAL, self.context, began_ns, facts).end()
        elif parent.sampled:
            part = self.tracer.begun(name, SpanKind.INTERNAL, _place(parent), began_ns, facts)
            part.links.append(Link(self.context))
            part.end()

    def link(self, to: TraceParent | None) -> None:
        """Link this span to one that it follows from."""
        if to is not None:
            self.links.append(Link(_place(to)))

    def add(self, **facts: str | int) -> None:
        """Add facts; the route also names the span."""
        self.attributes |= _attributes(facts)
        if {"method", "route"} <= facts.keys():
            self.name = f"{facts['method']} {facts['route']}"

    def fail(self, reason: str) -> None:
        """Mark the span as failed."""
        self.status = Status(StatusCode.ERROR, reason)
        self.add(error=reason)

    def end(self, at_ns: int | None = None) -> None:
        """End the span."""
        self.tracer.ended(self, at_ns or wall_ns())

    def __enter__(self) -> "_Recorded":
        """Return the span."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None:
        """End the span; of an error it records only the type."""
        if kind is not None:
            self.fail(kind.__name__)
        self.end()


def _names(service_name: str, role: str) -> dict[str, str]:
    """Return the attributes that name this process."""
    return {
        "service.name": f"{service_name}-{role}",
        "service.version": VERSION,
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
    }


def _attributes(facts: Mapping[str, str | int]) -> dict[str, str | int]:
    return {ATTRIBUTES[name]: fact for name, fact in facts.items() if name in ATTRIBUTES}


def _place(sent: TraceParent) -> SpanContext:
    flags = _SAMPLED if sent.sampled else _NOT_SAMPLED
    return SpanContext(int(sent.trace_id, 16), int(sent.span_id, 16), is_remote=True, trace_flags=flags)
