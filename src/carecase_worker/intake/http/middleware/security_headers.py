"""Security headers: no caching, no MIME sniffing, no framing, and a policy (CSP) that allows only our own scripts."""

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_PAGE = (
    "default-src 'self'; script-src 'self' {}; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_EXPOSED = ("Location", "Retry-After", "ETag", "Preference-Applied", "x-pagination", "WWW-Authenticate")
_TAKEN = (
    "x-api-key", "Authorization", "vbasoftware-database", "Content-Type", "Content-Encoding", "Idempotency-Key",
    "Prefer", "If-None-Match", "Last-Event-ID", "traceparent", "tracestate",
)  # fmt: skip


class SecurityHeaders:
    """ASGI middleware that adds the headers, unless a response sets its own CSP or Cache-Control.

    A page without a policy may run scripts of this service and its own inline scripts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        page: Message | None = None

        async def add(message: Message) -> None:
            nonlocal page
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                _add_common(headers)
                if _is_page_without_policy(headers):
                    page = message  # until its text is there
                    return
                headers.setdefault("Content-Security-Policy", _NOTHING)
            elif page is not None:
                MutableHeaders(scope=page)["Content-Security-Policy"] = _policy(message.get("body", b""))
                start, page = page, None
                await send(start)
            await send(message)

        await self._app(scope, receive, add)


def _is_page_without_policy(headers: MutableHeaders) -> bool:
    return "content-security-policy" not in headers and headers.get("content-type", "").startswith("text/html")


def _add_common(headers: MutableHeaders) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "no-referrer"
    if headers.get("content-type", "").partition(";")[0] not in ("text/css", "text/javascript", "image/png"):
        headers.setdefault("Cache-Control", "no-store")


def _policy(page: bytes) -> str:
    """Return the policy of a page, with the digests of its inline scripts. Pages are sent in one piece."""
    digests = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE.findall(page))
    return _PAGE.format(" ".join(f"'sha256-{digest}'" for digest in digests))


def cors_options(origins: Sequence[str]) -> dict[str, Any]:
    """Return the CORS options for web pages of these origins, which have the same rights as other clients."""
    return {
        "allow_origins": list(origins),
        "allow_methods": ["GET", "PUT", "POST", "DELETE"],
        "allow_headers": list(_TAKEN),
        "expose_headers": list(_EXPOSED),
        "max_age": 600,
    }
