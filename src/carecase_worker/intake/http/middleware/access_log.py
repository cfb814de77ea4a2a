"""Access log middleware: an id, a log line, a metric and a span for every request; a 500 for unexpected errors."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, TypeVar
from uuid import UUID

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carecase_worker.clock import monotonic, wall_ns
from carecase_worker.errors import safe_error_fields
from carecase_worker.intake.http.envelope import envelope
from carecase_worker.intake.http.problems import UNEXPECTED
from carecase_worker.intake.limits.log_quota import LogQuota
from carecase_worker.telemetry import Metrics, logger
from carecase_worker.traceparent import TraceParent
from carecase_worker.tracing.tracer import Span, Tracer

_T = TypeVar("_T")
_log = logger("access")
_NOTED, _ENDING, _RECEIVED, _SPAN = "carecase.noted", "carecase.ending", "carecase.received", "carecase.span"
_TRACEPARENT = b"traceparent"
_NO_ROUTE = "none"
KNOWN_BY = frozenset({_NOTED})
"""Members of a scope that `has_known_caller` reads."""
CONNECTED = "carecase.connected"
"""Name in the scope of the connection's peer address, whatever a proxy says about the client."""


def add_log_fields(scope: Scope, **facts: str | int | None) -> None:
    """Add fields to the request's log line. The names are those of telemetry; never a value of a case."""
    scope.setdefault(_NOTED, {}).update(facts)


def since_received(scope: Scope) -> float:
    """Return the seconds since the last byte of a request was received."""
    now = monotonic()
    return now - float(scope.get(_RECEIVED, now))


def has_known_caller(scope: Scope) -> bool:
    """Return whether the caller of a request is authenticated."""
    return "client" in scope.get(_NOTED, ())


def span_of(scope: Scope) -> Span:
    """Return the span of a request."""
    span: Span = scope[_SPAN]
    return span


def until_answered(scope: Scope, resource: AbstractContextManager[_T]) -> _T:
    """Enter a context that is exited when the response is sent; return its value."""
    ending: ExitStack = scope[_ENDING]
    return ending.enter_context(resource)


def take_over(scope: Scope) -> ExitStack:
    """Take over the contexts that `until_answered` entered, for a response whose rest is sent later."""
    ending: ExitStack = scope[_ENDING]
    return ending.pop_all()


@dataclass
class _Seen:
    """Status, bytes and duration of a request."""

    status: int = 0
    received: int = 0
    sent: int = 0
    seconds: float | None = None  # until the response was sent; background work after that is not the client's time
    ended_ns: int | None = None


class AccessLog:
    """ASGI middleware; puts the request's id into the scope as `carecase.activity`."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, new_id: Callable[[], str], quota: LogQuota, tracer: Tracer
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._new_id = new_id
        self._quota = quota
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        activity = scope["carecase.activity"] = self._new_id()
        span = scope[_SPAN] = self._tracer.request(scope["method"], _sent_traceparent(scope))
        scope[_NOTED] = _trace_fields(span)
        began = monotonic()
        seen = _Seen()
        ending = scope[_ENDING] = ExitStack()

        async def count() -> Message:
            message = await receive()
            seen.received += len(message.get("body", b""))
            if not message.get("more_body"):
                scope[_RECEIVED] = monotonic()
            return message

        async def watch(message: Message) -> None:
            seen.status = message.get("status", seen.status)
            seen.sent += len(message.get("body", b""))
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                seen.seconds, seen.ended_ns = monotonic() - began, wall_ns()
                ending.close()

        try:
            with ending:
                await self._app(scope, count, watch)
        except Exception as error:  # noqa: BLE001  # one of the three edges: every request gets an answer
            fields = safe_error_fields(error) | _trace_fields(span)
            _log.error("request failed", activity_id=activity, **fields)
            if not seen.status:
                await _send_500(scope, watch, activity)
        self._log_request(scope, activity, seen, monotonic() - began if seen.seconds is None else seen.seconds)

    def _log_request(self, scope: Scope, activity: str, seen: _Seen, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _NO_ROUTE)
        self._metrics.answered(route, scope["method"], seen.status, seconds)
        if not has_known_caller(scope) and not self._quota.takes():
            return
        facts: dict[str, Any] = {"address": address_of(scope), "job_id": _job_of(scope), **scope[_NOTED]}
        fields: dict[str, Any] = {
            "method": scope["method"],
            "route": route,
            "status": seen.status,
            **{name: fact for name, fact in facts.items() if fact is not None},
        }
        _end(span_of(scope), seen, fields)
        sizes = {"duration_ms": round(seconds * 1000, 1), "bytes": seen.received, "bytes_sent": seen.sent}
        _log.info("request", activity_id=activity, **fields, **sizes)


def _end(span: Span, seen: _Seen, fields: dict[str, Any]) -> None:
    """End the span of a request with the fields of its log line."""
    span.add(**{name: fact for name, fact in fields.items() if (name, fact) != ("route", _NO_ROUTE)})
    if seen.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(fields.get("reason", str(seen.status)))
    span.end(seen.ended_ns)


def _trace_fields(span: Span) -> dict[str, Any]:
    return {} if span.traceparent is None else {"trace_id": span.traceparent.trace_id}


def _sent_traceparent(scope: Scope) -> TraceParent | None:
    """Return the client's trace context; None if it sent none, several, or an invalid one."""
    sent = [value for name, value in scope["headers"] if name == _TRACEPARENT]
    return TraceParent.of(sent[0].strip(b" \t").decode("latin-1")) if len(sent) == 1 else None


def _job_of(scope: Scope) -> str | None:
    """Return the job id in the path; None if there is none, or it is not a UUID and so could be any text."""
    try:
        return str(UUID(scope.get("path_params", {})["jobId"]))
    except (KeyError, ValueError):
        return None


def address_of(scope: Scope) -> str | None:
    """Return the client's address, or the proxy's if that sends an invalid one; None for a Unix socket."""
    for address in ((scope["client"] or ("",))[0], scope.get(CONNECTED) or ""):
        with suppress(ValueError):
            return plain_address(address)
    return None


@lru_cache(1024)
def plain_address(address: str) -> str:
    """Return an IPv4-mapped address as IPv4: a socket on :: sees 10.0.0.7 as ::ffff:10.0.0.7. Raises ValueError."""
    parsed = ip_address(address)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


async def _send_500(scope: Scope, send: Send, activity: str) -> None:
    content = envelope(activity, error=UNEXPECTED.members(scope["path"]))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": UNEXPECTED.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
