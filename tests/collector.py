"""A collector of spans: a real HTTP server that takes OTLP, and shows what it was sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.acceptance.system import eventually

from carecase_worker.traceparent import TraceParent

Place = tuple[str, str]
"""A span by the ids of its trace and of itself."""


@dataclass(frozen=True)
class SeenSpan:
    """A span as it was sent."""

    service: str
    name: str
    kind: str
    place: Place
    parent: str
    """The id of the span that it is a part of; empty if there is none."""
    links: list[Place]
    began_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    error: str | None
    """What it failed with; None if it did not."""


@dataclass
class Collector:
    """What has been sent to a collector. It answers while `answers` is set."""

    url: str = ""
    answers: threading.Event = field(default_factory=threading.Event)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    """The other paths that something was sent to."""
    asked: int = 0

    @property
    def spans(self) -> list[SeenSpan]:
        return [span for body in list(self.bodies) for span in _spans(body)]

    def of_trace(self, trace_id: str) -> list[SeenSpan]:
        return [span for span in self.spans if span.place[0] == trace_id]

    def awaited(self, name: str, count: int = 1, **attributes: Any) -> list[SeenSpan]:
        """Spans of a name with some attributes, once there are so many."""

        def seen() -> list[SeenSpan] | None:
            found = [
                span
                for span in self.spans
                if span.name == name and {**_named(attributes)}.items() <= span.attributes.items()
            ]
            return found if len(found) >= count else None

        return list(eventually(seen, 60, f"{count} spans {name} {attributes}"))


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {f"carecase.{name}": value for name, value in attributes.items()}


def a_traceparent(number: int, sampled: bool = True) -> TraceParent:
    """The place of a client's request in a trace of its own."""
    return TraceParent(f"{number:032x}", f"{number:016x}", sampled)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector."""
    collector = Collector()
    collector.answers.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.asked += 1
            if not collector.answers.wait(30):
                return
            if self.path == "/v1/traces":
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                collector.bodies.append(body)
            else:
                collector.elsewhere.append(self.path)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _spans(body: bytes) -> Iterator[SeenSpan]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _attributes(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert not span.events, "an event could hold the text of an error"
                assert not span.dropped_attributes_count
                yield SeenSpan(
                    service,
                    span.name,
                    type(span).SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    (span.trace_id.hex(), span.span_id.hex()),
                    span.parent_span_id.hex(),
                    [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    _attributes(span.attributes),
                    span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
