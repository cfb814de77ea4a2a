"""What happens around every request: an id, a line in the log, a count, and an answer even to what nobody expected."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carecase_worker.clock import stopwatch
from carecase_worker.errors import traces
from carecase_worker.intake.documents import envelope
from carecase_worker.intake.problems import UNEXPECTED
from carecase_worker.telemetry import Metrics, logger

_log = logger("access")
_NOTED = "carecase.noted"


def note(scope: Scope, **facts: str | int | None) -> None:
    """Have the request's line in the log tell these, too. The names are those of telemetry; no value of a case."""
    scope.setdefault(_NOTED, {}).update(facts)


@dataclass
class _Seen:
    """What went through while a request was served."""

    status: int = 0
    received: int = 0
    sent: int = 0
    seconds: float | None = None  # until the answer was sent; what follows in the background is not the client's time


class Requests:
    """ASGI middleware; puts the request's id into the scope as `carecase.activity`."""

    def __init__(self, app: ASGIApp, metrics: Metrics, new_id: Callable[[], str]) -> None:
        self._app = app
        self._metrics = metrics
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        activity = scope["carecase.activity"] = self._new_id()
        scope[_NOTED] = {}
        began = stopwatch()
        seen = _Seen()

        async def count() -> Message:
            message = await receive()
            seen.received += len(message.get("body", b""))
            return message

        async def watch(message: Message) -> None:
            seen.status = message.get("status", seen.status)
            seen.sent += len(message.get("body", b""))
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                seen.seconds = stopwatch() - began

        try:
            await self._app(scope, count, watch)
        except Exception as error:  # noqa: BLE001  # one of the three edges: every request gets an answer
            _log.error("request failed", activity_id=activity, **traces(error))
            if not seen.status:
                await _apologise(scope, watch, activity)
        self._tell(scope, activity, seen, stopwatch() - began if seen.seconds is None else seen.seconds)

    def _tell(self, scope: Scope, activity: str, seen: _Seen, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.answered(route, scope["method"], seen.status, seconds)
        facts: dict[str, Any] = {"address": _address_of(scope), "job_id": _job_of(scope), **scope[_NOTED]}
        _log.info(
            "request",
            activity_id=activity,
            method=scope["method"],
            route=route,
            status=seen.status,
            duration_ms=round(seconds * 1000, 1),
            bytes=seen.received,
            bytes_sent=seen.sent,
            **{name: fact for name, fact in facts.items() if fact is not None},
        )


def _job_of(scope: Scope) -> str | None:
    """The job that the path names; None if it names none, or something that is no id: that could be anything."""
    try:
        return str(UUID(scope.get("path_params", {})["jobId"]))
    except (KeyError, ValueError):
        return None


def _address_of(scope: Scope) -> str | None:
    """The client's address; None if a proxy tells something else, which could be anything."""
    try:
        return str(ip_address(scope["client"][0]))
    except (TypeError, ValueError):
        return None


async def _apologise(scope: Scope, send: Send, activity: str) -> None:
    content = envelope(activity, error=UNEXPECTED.members(scope["path"]))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": UNEXPECTED.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
