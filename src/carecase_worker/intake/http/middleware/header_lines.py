"""Repeated header lines of a request: those of list headers are joined, others are refused (RFC 9110, 5.3)."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.intake.http.problems import Problem, problem_of

Headers = Sequence[tuple[bytes, bytes]]

_LISTS = frozenset(
    {
        b"accept", b"accept-encoding", b"access-control-request-headers", b"connection", b"content-encoding",
        b"if-none-match", b"prefer", b"x-forwarded-for",
    }
)  # fmt: skip
_SINGLE = (
    b"x-api-key", b"authorization", b"vbasoftware-database", b"idempotency-key", b"host", b"content-type",
    b"content-length", b"user-agent", b"origin", b"access-control-request-method", b"last-event-id",
    b"x-forwarded-proto", b"x-forwarded-prefix",
)  # fmt: skip
_UNREAD = b"cookie"
"""A header that is removed: the framework would parse it, on some Pythons in quadratic time, and nothing needs it."""
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]*)?")


def joined(headers: Headers, needs_host: bool) -> Headers:
    """Join the lines of each list, strip blanks around values (RFC 9110, 5.5), and remove cookies.

    Raises BatchRefused for two lines of a header that is not a list, or a bad Host.
    """
    headers = [(name, value.strip(b" \t")) for name, value in headers if name != _UNREAD]
    host = next((value for name, value in headers if name == b"host"), None)
    if host is None and needs_host:
        raise BatchRefused(BatchFault.BAD_HEADER, "The header Host is missing. HTTP/1.1 requires it.")
    if host is not None and not _HOST.fullmatch(host.strip()):
        raise BatchRefused(BatchFault.BAD_HEADER, "The header Host is not a host. Send host or host:port.")
    if len({name for name, _ in headers}) == len(headers):
        return headers
    counts = Counter(name for name, _ in headers)
    repeated = [name.decode() for name in _SINGLE if counts[name] > 1]
    if repeated:
        raise BatchRefused(BatchFault.BAD_HEADER, f"The header {repeated[0]} comes more than once. Send it once.")
    lines: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _LISTS:
            lines.setdefault(name, []).append(value.strip())
    others = [(name, value) for name, value in headers if name not in _LISTS]
    return others + [(name, b", ".join(filter(None, values))) for name, values in lines.items()]


class HeaderLines:
    """ASGI middleware that joins header lines, and refuses requests whose lines cannot be joined."""

    def __init__(self, app: ASGIApp, answer: Callable[[Request, Problem], Callable[..., Awaitable[None]]]) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            try:
                scope["headers"] = joined(scope["headers"], needs_host=scope["http_version"] != "1.0")
            except BatchRefused as refused:
                await self._answer(Request(scope), problem_of(refused))(scope, receive, send)
                return
        await self._app(scope, receive, send)
