"""uvicorn's HTTP/1.1 connection with the limits that it lacks: size and time of a head, stalled readers and writers."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from carecase_worker.intake.http.connections.framing import ended_by_close
from carecase_worker.intake.http.connections.going_on import Rest, going_on
from carecase_worker.intake.http.envelope import envelope
from carecase_worker.intake.http.middleware.access_log import KNOWN_BY, has_known_caller
from carecase_worker.intake.http.problems import problem_of_status
from carecase_worker.intake.limits.process import Shared
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.telemetry import logger

_log = logger("access")
_uvicorn = logging.getLogger("uvicorn.error.connection")
_LONGEST_TARGET = 8000
"""Maximum bytes of a target, as RFC 9110 (4.1) recommends; the service's own are at most a tenth of that."""
_MOST_PARAMETERS = 100
"""Maximum number of query parameters, which are parsed before authentication; no path has a tenth of that."""
_MOST_WAITING = 32
"""Maximum number of pipelined requests that wait on a connection."""
_AROUND_A_HEADER = len(": \r\n")
_AROUND_A_TARGET = len("  HTTP/1.1\r\n\r\n")  # with the line that ends the head


@dataclass(frozen=True, slots=True)
class Guard:
    """Limits of a connection: of a head its size in bytes, number of headers and seconds to arrive; and the seconds for
    which a client may leave a response unread, or continue to send a body after the response."""

    head_bytes: int
    headers: int
    head_s: float
    stall_s: float

    @classmethod
    def of(cls, settings: IntakeSettings) -> "Guard":
        """Make the limits from the settings."""
        return cls(
            settings.max_header_bytes,
            settings.max_headers,
            settings.header_timeout.total_seconds(),
            settings.stall_timeout.total_seconds(),
        )


class _Part(Enum):
    """The part of a request that is being received."""

    NONE = "none"
    HEAD = "head"
    BODY = "body"


class _HeadRefused(Exception):
    """A head exceeds a limit; raised to end its parsing."""


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection with timeouts and limits; its own refusals are problems like all others."""

    def __init__(self, *arguments: Any, guard: Guard, new_id: Callable[[], str], shared: Shared, **named: Any) -> None:
        self._came: list[bytes] = []
        # the parser calls this for each chunk: for one of a single byte, a method would cost twenty times as much
        self.on_body = self._came.append  # type: ignore[method-assign,assignment]
        super().__init__(*arguments, **named)
        self.logger = _uvicorn
        self._guard = guard
        self._new_id = new_id
        self._shared = shared
        self._part = _Part.NONE
        self._head_bytes = self._fed_bytes = 0
        self._heard = self._ended = self._has_body = self._is_half_closed = False
        self._answering: RequestResponseCycle | None = None
        self._broken_off: RequestResponseCycle | None = None
        self._rest: list[Rest] = []
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout for the first head, or refuse the connection if there is no place for it."""
        super().connection_made(transport)
        if self._shared.connections.enter(self):
            self._expect_head()
        else:
            self._refuse(503)

    def serves_known(self) -> bool:
        """Return whether a request of a known caller is waiting for its response."""
        answering = self._answering
        return (
            answering is not None and not answering.response_complete and has_known_caller(cast(Scope, answering.scope))
        )

    def give_way(self) -> None:
        """Close at once, to make room for a newer connection."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeouts and the current request; uvicorn itself cancels only the last one received."""
        self._shared.connections.leave(self)
        self._cancel_late()
        self.resume_writing()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        for rest in self._rest:
            rest.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the timeout of a head with its first byte, and refuse a head or chunk framing that is too long."""
        self._heard = True
        if self._part is _Part.NONE:
            self._expect_head()
        self._ended = self._has_body = False
        super().data_received(data)
        self._take_body()
        if self._part is _Part.HEAD and not self._ended:  # else only the end of this piece belongs to the head
            self._fed_bytes += len(data)
            if self._head_is_too_long() and not self.transport.is_closing():
                self._refuse(431)
        elif self._part is _Part.BODY and not self._has_body:  # chunk framing, or trailers
            self._fed_bytes += len(data)
            if self._fed_bytes > self._guard.head_bytes and not self.transport.is_closing():
                self._refuse(431)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection open after a half-close: the client may still read.

        Complete requests get their responses, and so does a truncated body.
        """
        self._is_half_closed = True
        if self._part is _Part.BODY:
            self.cycle.keep_alive = False
            self._broken_off = self.cycle
            self.cycle.message_event.set()
        return self.cycle is not None and not self.cycle.response_complete

    def on_message_begin(self) -> None:
        """Start the timeout of a head; it may follow another request within one piece of data."""
        self._part = _Part.HEAD
        self._expect_head()
        self._head_bytes = self._fed_bytes = 0
        super().on_message_begin()
        if len(self.pipeline) >= _MOST_WAITING:
            raise _HeadRefused

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header towards the limits; ignore trailers."""
        if self._part is _Part.BODY:
            return
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value) + _AROUND_A_HEADER
        if self._head_is_too_long():
            raise _HeadRefused

    def on_headers_complete(self) -> None:
        """Check the complete head; the timeout of the body is the application's."""
        self._head_bytes += len(self.parser.get_method()) + _AROUND_A_TARGET
        version = self.parser.get_http_version()
        if self._head_is_too_long() or version not in ("1.0", "1.1"):
            raise _HeadRefused  # the parser accepts 0.9 and 2.0 as well
        if version == "1.0":
            self.expect_100_continue = False  # HTTP/1.0 has no interim responses
        self._cancel_late()
        self._part, self._fed_bytes, self._has_body = _Part.BODY, 0, True
        self._shared.connections.heard(self)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Record that the request is complete."""
        self._take_body()
        self._cancel_late()
        self._part, self._ended = _Part.NONE, True
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            # the response came before the end of the body, which has cancelled the keep-alive timeout
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """Let the client continue a body for a while after its response is sent, so that it reads the response."""
        is_last = not self.pipeline
        self._shared.connections.heard(self)
        super().on_response_complete()
        if self._is_half_closed and is_last:
            self.transport.close()
        if self.cycle.response_complete and self._part is _Part.BODY and not self.transport.is_closing():
            self._cancel_late()
            self._late = self.loop.call_later(self._guard.stall_s, self.transport.abort)

    def pause_writing(self) -> None:
        """Start the timeout of a client that does not read."""
        super().pause_writing()
        # no timer runs yet: resume_writing comes before the next call of this
        self._stalled = self.loop.call_later(self._guard.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the timeout: the client reads again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's text; ours is a problem
        """Refuse a request that is not HTTP, or whose head is too long."""
        self._refuse(431 if self._head_is_too_long() else 400)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering, self._rest = cycle, []
        app = going_on(cycle, app, self._rest, KNOWN_BY)
        if cycle.scope["http_version"] == "1.0":
            app = ended_by_close(cycle, app)
        super()._start_asgi_task(cycle, self._reporting_its_end(cycle, app))

    def _reporting_its_end(self, cycle: RequestResponseCycle, app: ASGIApp) -> Any:
        """Report to `app` that the body is truncated, after all received bytes. It may still respond."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def receive_or_end() -> Message:
                if self._broken_off is cycle and not cycle.body:
                    return {"type": "http.disconnect"}
                return await receive()

            await app(scope, receive_or_end, send)

        return serve

    def _head_is_too_long(self) -> bool:
        # an incomplete header is counted as bytes received, a head that comes in one piece by its headers
        seen = max(self._head_bytes + len(self.url), self._fed_bytes)
        is_too_long = seen > self._guard.head_bytes or len(self.url) > _LONGEST_TARGET
        is_too_long |= self.url.count(b"&") >= _MOST_PARAMETERS
        return self._part is _Part.HEAD and (is_too_long or len(self.headers) > self._guard.headers)

    def _head_is_late(self) -> None:
        self._late = None
        if self.cycle is not None and not self.cycle.response_complete:
            # the client still waits for a response, so the next head is not late
            self._late = self.loop.call_later(self._guard.head_s, self._head_is_late)
        elif not self._heard:
            self.transport.close()  # nobody there
        elif not self.transport.is_closing():
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        if self._owes_another_answer():
            self.transport.abort()  # a refusal now would be taken for that response, or a part of it
            return
        activity, problem = self._new_id(), problem_of_status(status)
        if self._shared.quota.takes():
            _log.info("connection refused", activity_id=activity, status=status, reason=problem.kind)
        content = envelope(activity, error=problem.members("/"))
        headers = {"content-type": "application/json", "content-length": len(content), "connection": "close"}
        lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in {**headers, **problem.headers}.items())
        self.transport.write(f"HTTP/1.1 {status} \r\n{lines}\r\n".encode() + content)
        self.transport.close()

    def _owes_another_answer(self) -> bool:
        """Return whether a response to another request is due, or the current one has begun."""
        owed = self._answering
        if owed is None or owed.response_complete:
            return False
        return owed.response_started or owed is not self.cycle or self._part is not _Part.BODY

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: a client may offer another protocol, and gets a response in this one."""

    def _take_body(self) -> None:
        """Pass on the received chunks of the body together, and reset the count of chunk framing bytes."""
        if self._came:
            self._has_body, self._fed_bytes = True, 0
            super().on_body(b"".join(self._came))
            self._came.clear()

    def _expect_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self._guard.head_s, self._head_is_late)

    def _cancel_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
