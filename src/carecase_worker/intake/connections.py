"""One connection of a client, guarded: whoever sends or reads too slowly, or too long a head, is let go."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from carecase_worker.intake.documents import envelope
from carecase_worker.intake.framing import ended_by_close
from carecase_worker.intake.problems import problem_of_status
from carecase_worker.intake.requests import has_known_caller
from carecase_worker.intake.shared import Shared
from carecase_worker.settings.model import IntakeSettings
from carecase_worker.telemetry import logger

_log = logger("access")
_uvicorn = logging.getLogger("uvicorn.error.connection")
_LONGEST_TARGET = 8000
"""Bytes that RFC 9110 (4.1) wants to be taken; what the service has at most is a tenth of that."""
_MOST_PARAMETERS = 100
"""Query parameters of a target; no path takes a tenth of that, and the framework reads them before anybody is known."""
_MOST_WAITING = 32
"""Requests that may come on a connection before the one ahead of them is answered."""
_AROUND_A_HEADER = len(": \r\n")
_AROUND_A_TARGET = len("  HTTP/1.1\r\n\r\n")  # with the line that ends the head


@dataclass(frozen=True, slots=True)
class Guard:
    """Bounds of a connection: the length of a head, its headers, the time that it may take to come, and that for which
    a client may leave an answer unread, or a body unsent that nobody waits for any more."""

    head_bytes: int
    headers: int
    head_s: float
    stall_s: float

    @classmethod
    def of(cls, settings: IntakeSettings) -> "Guard":
        """The guard that is configured."""
        return cls(
            settings.max_header_bytes,
            settings.max_headers,
            settings.header_timeout.total_seconds(),
            settings.stall_timeout.total_seconds(),
        )


class _Part(Enum):
    """The part of a request that is coming."""

    NONE = "none"
    HEAD = "head"
    BODY = "body"


class _HeadRefused(Exception):
    """Ends the parsing of a head."""


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection, with deadlines where it has none; its refusals are problems, as all others."""

    def __init__(self, *arguments: Any, guard: Guard, new_id: Callable[[], str], shared: Shared, **named: Any) -> None:
        self._came: list[bytes] = []
        # the parser takes it from here: for a chunk of one byte, a call of our own would cost twenty times as much
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
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The head may take so long from now on, if there is a place for the connection."""
        super().connection_made(transport)
        if self._shared.connections.enter(self):
            self._expect_head()
        else:
            self._refuse(503)

    def serves_known(self) -> bool:
        """Tell if it has a request of a caller that is known, and that is not answered yet."""
        answering = self._answering
        return (
            answering is not None and not answering.response_complete and has_known_caller(cast(Scope, answering.scope))
        )

    def give_way(self) -> None:
        """Close at once, for a newer connection."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more, nor held for the request at hand; uvicorn sees to the last one that came."""
        self._shared.connections.leave(self)
        self._cancel_late()
        self.resume_writing()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Between two requests, the first byte starts the time that a head may take."""
        self._heard = True
        if self._part is _Part.NONE:
            self._expect_head()
        self._ended = self._has_body = False
        super().data_received(data)
        self._take_body()
        if self._part is _Part.HEAD and not self._ended:  # else only the end of this piece is of the head
            self._fed_bytes += len(data)
            if self._head_is_too_long() and not self.transport.is_closing():
                self._refuse(431)
        elif self._part is _Part.BODY and not self._has_body:  # around the chunks, or behind them
            self._fed_bytes += len(data)
            if self._fed_bytes > self._guard.head_bytes and not self.transport.is_closing():
                self._refuse(431)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more, and may still read: answer what has come whole, and the body that broke off."""
        self._is_half_closed = True
        if self._part is _Part.BODY:
            self.cycle.keep_alive = False
            self._broken_off = self.cycle
            self.cycle.message_event.set()
        return self.cycle is not None and not self.cycle.response_complete

    def on_message_begin(self) -> None:
        """A head begins, perhaps behind another request in one piece."""
        self._part = _Part.HEAD
        self._expect_head()
        self._head_bytes = self._fed_bytes = 0
        super().on_message_begin()
        if len(self.pipeline) >= _MOST_WAITING:
            raise _HeadRefused

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is complete; those behind a body are nobody's."""
        if self._part is _Part.BODY:
            return
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value) + _AROUND_A_HEADER
        if self._head_is_too_long():
            raise _HeadRefused

    def on_headers_complete(self) -> None:
        """The head is there; what the body may take is the application's to say."""
        self._head_bytes += len(self.parser.get_method()) + _AROUND_A_TARGET
        version = self.parser.get_http_version()
        if self._head_is_too_long() or version not in ("1.0", "1.1"):
            raise _HeadRefused  # of the versions, the parser lets 0.9 and 2.0 pass
        if version == "1.0":
            self.expect_100_continue = False  # such a client knows no interim answers
        self._cancel_late()
        self._part, self._fed_bytes, self._has_body = _Part.BODY, 0, True
        self._shared.connections.heard(self)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The whole request is there."""
        self._take_body()
        self._cancel_late()
        self._part, self._ended = _Part.NONE, True
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            # it was answered before its body was there, and the body has ended the time that was running then
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """The answer is sent. A body may go on coming for a while, so that the client reads the answer."""
        is_last = not self.pipeline
        self._shared.connections.heard(self)
        super().on_response_complete()
        if self._is_half_closed and is_last:
            self.transport.close()
        if self.cycle.response_complete and self._part is _Part.BODY and not self.transport.is_closing():
            self._cancel_late()
            self._late = self.loop.call_later(self._guard.stall_s, self.transport.abort)

    def pause_writing(self) -> None:
        """The client does not read fast enough."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self._guard.stall_s, self.transport.abort)  # it reads on before the next

    def resume_writing(self) -> None:
        """It has read on."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words; ours are a problem
        """Refuse what is no HTTP, or too long a head."""
        self._refuse(431 if self._head_is_too_long() else 400)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        if cycle.scope["http_version"] == "1.0":
            app = ended_by_close(cycle, app)
        super()._start_asgi_task(cycle, self._told_of_its_end(cycle, app))

    def _told_of_its_end(self, cycle: RequestResponseCycle, app: ASGIApp) -> Any:
        """Tell `app` that the body broke off, once it has what came of it. It may still answer."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def receive_or_end() -> Message:
                if self._broken_off is cycle and not cycle.body:
                    return {"type": "http.disconnect"}
                return await receive()

            await app(scope, receive_or_end, send)

        return serve

    def _head_is_too_long(self) -> bool:
        # a header that is not complete yet is seen as bytes only, a head that comes in one piece as headers only
        seen = max(self._head_bytes + len(self.url), self._fed_bytes)
        is_too_long = seen > self._guard.head_bytes or len(self.url) > _LONGEST_TARGET
        is_too_long |= self.url.count(b"&") >= _MOST_PARAMETERS
        return self._part is _Part.HEAD and (is_too_long or len(self.headers) > self._guard.headers)

    def _head_is_late(self) -> None:
        self._late = None
        if self.cycle is not None and not self.cycle.response_complete:
            # the next request's head is early, not late: the client waits for an answer
            self._late = self.loop.call_later(self._guard.head_s, self._head_is_late)
        elif not self._heard:
            self.transport.close()  # nobody there
        elif not self.transport.is_closing():
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        if self._owes_another_answer():
            self.transport.abort()  # what was said now would be taken for that answer, or for a part of it
            return
        activity, problem = self._new_id(), problem_of_status(status)
        if self._shared.quota.takes():
            _log.info("connection refused", activity_id=activity, status=status, reason=problem.kind)
        content = envelope(activity, error=problem.members("/"))
        told = {"content-type": "application/json", "content-length": len(content), "connection": "close"}
        lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in {**told, **problem.headers}.items())
        self.transport.write(f"HTTP/1.1 {status} \r\n{lines}\r\n".encode() + content)
        self.transport.close()

    def _owes_another_answer(self) -> bool:
        """Tell if an answer is owed that is not that to the request at hand, or has begun."""
        owed = self._answering
        if owed is None or owed.response_complete:
            return False
        return owed.response_started or owed is not self.cycle or self._part is not _Part.BODY

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: a client may offer another protocol, and is answered in this one."""

    def _take_body(self) -> None:
        """Take what has come of the body, all chunks at once; what comes around them is counted anew."""
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
