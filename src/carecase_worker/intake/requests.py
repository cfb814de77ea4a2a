"""What happens around every request: an id, a line in the log, a count, and an answer even to what nobody expected."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carecase_worker.clock import stopwatch
from carecase_worker.intake.documents import envelope
from carecase_worker.intake.problems import UNEXPECTED
from carecase_worker.telemetry import Metrics, logger, traces

_log = logger("access")


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
        began = stopwatch()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:  # noqa: BLE001  # one of the three edges: every request gets an answer
            _log.error("request failed", activity_id=activity, **traces(error))
            if not status:
                await _apologise(scope, watch, activity)
        self._note(scope, activity, status, stopwatch() - began)

    def _note(self, scope: Scope, activity: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.answered(route, scope["method"], status, seconds)
        _log.info(
            "request",
            activity_id=activity,
            method=scope["method"],
            path=route,
            status=status,
            duration_ms=round(seconds * 1000, 1),
            client=scope.get("carecase.client"),
        )


async def _apologise(scope: Scope, send: Send, activity: str) -> None:
    content = envelope(activity, error=UNEXPECTED.members(scope["path"]))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": UNEXPECTED.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
