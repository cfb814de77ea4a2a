"""Protection of Flower's pages: the password check, the limit of wrong passwords, and security headers."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from flower.app import Flower
from flower.events import Events
from flower.options import default_options
from flower.urls import settings as flower_settings
from flower.utils import prepend_url
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.iostream import IOStream
from tornado.web import OutputTransform, RedirectHandler, RequestHandler

from carecase_worker.clock import monotonic
from carecase_worker.flower.job_links import JobPage, TaskPage
from carecase_worker.flower.wrong_passwords import WrongPasswords
from carecase_worker.settings.sections.flower import FlowerSettings
from carecase_worker.telemetry import MetricSample, logger, register_process_metrics

_HEALTH = "healthcheck"

_INLINE = "\nvar autorefresh = 1;\n"
"""The only inline script in Flower's pages."""
_INLINE_DIGEST = base64.b64encode(hashlib.sha256(_INLINE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self' 'sha256-{_INLINE_DIGEST}'; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}

_log = logger("flower")


def is_known(header: str, flower: FlowerSettings) -> bool:
    """Return whether an Authorization header has the page's user and password, in constant time.

    Programs encode letters outside ASCII in UTF-8, as the page asks them to, or in Latin-1.
    """
    scheme, _, encoded = header.strip().partition(" ")
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    password = flower.password.get_secret_value() if flower.password else ""
    right = f"{flower.user}:{password}"
    forms = [right.encode(), right.encode("latin-1")] if _is_latin(right) else [right.encode()]
    # digests have equal lengths: the comparison does not even reveal the length of the password
    matches = [hmac.compare_digest(_digest(given), _digest(form)) for form in forms]
    return any(matches) and scheme.lower() == "basic"


class GuardedFlower(Flower):  # type: ignore[misc]  # it has no types
    """Flower behind a password, which is checked before a request finds its handler.

    Only the health check needs no password, and only from the same machine or container.
    """

    def __init__(self, flower: FlowerSettings, inner: str, events: Events | None, **options: Any) -> None:
        root = f"/{flower.url_prefix}"
        places = {name: prepend_url(flower_settings[name], root) for name in ("login_url", "static_url_prefix")}
        settings = {**flower_settings, **places, "transforms": [_SecureHeaders]}
        super().__init__(options=default_options, events=events, **settings, **options)
        own = [
            (root, RedirectHandler, {"url": f"{root}/", "permanent": False}),
            # Flower's page of a worker needs remote control
            (f"{root}/task/(.+)", TaskPage, {"root": root, "job_url": flower.job_url}),
            (f"{root}/job/([0-9a-f-]{{36}})", JobPage, {"root": root}),
            (f"{root}/worker/(.+)", RedirectHandler, {"url": f"{root}/tasks?worker={{0}}", "permanent": False}),
        ]
        self.add_handlers(".*", own)
        self._flower = flower
        self._health = f"{root}/{_HEALTH}"
        self._inner = base64.b64encode(f"flower:{inner}".encode()).decode()
        self._wrong = WrongPasswords(flower.wrong_passwords_per_minute)
        register_process_metrics(self._samples)

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """Return the handler of a request, or one that asks for the password."""
        if request.path == self._health and _is_of_this_machine(request):
            request.headers["Authorization"] = ""
            return super().find_handler(request, **options)
        given, address, now = request.headers.get("Authorization", ""), str(request.remote_ip), monotonic()
        wait_s = self._wrong.wait_s(address, now) if given else 0.0
        if wait_s:
            return self.get_handler_delegate(request, _TooOften, {"wait_s": wait_s})
        if not is_known(given, self._flower):
            if given:
                self._wrong.note(address, now)
                _log.warning("wrong password", address=address)
            return self.get_handler_delegate(request, _Refused)
        # Flower checks once more, in its own way, which knows ASCII only
        request.headers["Authorization"] = f"Basic {self._inner}"
        return super().find_handler(request, **options)

    @property
    def workers(self) -> dict[str, dict[str, Any]]:
        """The workers by name, with their own reports."""
        known = self.events.state.workers.items()
        return {name: {**_fields_of(worker), "status": worker.alive} for name, worker in known}

    def update_workers(self, workername: str | None = None) -> "asyncio.Future[None]":
        """Return a completed future: workers are never queried."""
        del workername
        asked: asyncio.Future[None] = self.io_loop.asyncio_loop.create_future()
        asked.set_result(None)
        return asked

    def _samples(self) -> Iterator[MetricSample]:
        text = "Wrong passwords that were sent to the operators' page"
        yield MetricSample("carecase_flower_wrong_passwords", text, self._wrong.total, {}, counter=True)


class BoundedServer(HTTPServer):
    """Tornado's server with a limit of open connections: the oldest is closed for a new one.

    Without it, descriptors would run out and every accept would fail. Requests are short, so the oldest connection is
    probably idle.
    """

    def initialize(self, *arguments: Any, most: int, **options: Any) -> None:  # type: ignore[override]  # one more
        """Take the limit, in addition to Tornado's own arguments."""
        super().initialize(*arguments, **options)
        self._most = most
        self._open: dict[IOStream, None] = {}
        self._gave_way = 0
        register_process_metrics(self._samples)

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a new connection."""
        if len(self._open) >= self._most:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.close()
            self._gave_way += 1
        self._open[stream] = None
        super().handle_stream(stream, address)

    def on_close(self, server_conn: Any) -> None:
        """Forget a connection that has ended."""
        self._open.pop(server_conn.stream, None)
        super().on_close(server_conn)

    def _samples(self) -> Iterator[MetricSample]:
        text = "Connections to the operators' page that were closed for newer ones"
        yield MetricSample("carecase_flower_connections_gave_way", text, self._gave_way, {}, counter=True)


class _Refused(RequestHandler):
    """The response 401 to any request without the password."""

    def check_xsrf_cookie(self) -> None:
        """Skip the check: a refused request changes nothing."""

    def prepare(self) -> None:
        """Answer 401."""
        self.set_status(401)
        self.set_header("WWW-Authenticate", 'Basic realm="flower", charset="UTF-8"')
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("User and password of the page are required (flower.user, flower.password).\n")


class _TooOften(_Refused):
    """The response 429 to an address that has sent too many wrong passwords, whatever it sends now."""

    def initialize(self, wait_s: float) -> None:
        """Take the number of seconds for which the address is refused."""
        self._wait_s = math.ceil(wait_s)

    def prepare(self) -> None:
        """Answer 429."""
        self.set_status(429)
        self.set_header("Retry-After", str(self._wait_s))
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"Too many wrong passwords came from this address; try again in {self._wait_s} s.\n")


class _SecureHeaders(OutputTransform):
    """Security headers: no framing, only own scripts, no caching."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add the headers; a response's own Cache-Control stays."""
        del finishing
        headers.pop("Server", None)
        for name, value in _HEADERS.items():
            if name != "Cache-Control" or name not in headers:
                headers[name] = value
        return status_code, headers, chunk


def _fields_of(worker: Any) -> dict[str, Any]:
    return {name: getattr(worker, name) for name in worker._fields if name != "heartbeats"}


def _is_of_this_machine(request: HTTPServerRequest) -> bool:
    """Return whether a request comes from this machine or container; one over a Unix socket does not count."""
    return ip_address(str(request.remote_ip)).is_loopback


def _is_latin(text: str) -> bool:
    return all(ord(sign) < 256 for sign in text)


def _digest(text: bytes) -> bytes:
    return hmac.digest(b"", text, "sha256")
