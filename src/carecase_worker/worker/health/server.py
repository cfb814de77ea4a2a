"""The worker's own HTTP server: `/livez`, `/readyz` and `/metrics`, on a port if one is set, and on a Unix socket."""

import json
import os
import socket
import socketserver
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from threading import BoundedSemaphore, Lock, Thread, Timer
from typing import Any

from carecase_worker.errors import SettingsError
from carecase_worker.settings.model import WorkerSettings
from carecase_worker.telemetry import logger
from carecase_worker.worker.health.monitor import Monitor
from carecase_worker.worker.health.signs import Health
from carecase_worker.worker.health.socket import PATH, address, directory, is_alive, open_directory

_log = logger("health")
_MOST_CONNECTIONS = 16
_MOST_WAITING = 128
"""Connections that the system keeps until they are taken, which is at once."""
_REQUEST_S = 3.0
_JSON = "application/json"
_TEXT = "text/plain; version=0.0.4; charset=utf-8"

Answer = tuple[int, str, bytes]
"""Status, content type and body."""


class HealthPages:
    """The responses of a worker's health server, by path."""

    def __init__(self, monitor: Monitor, exposition: Callable[[], bytes]) -> None:
        self._monitor = monitor
        self._pages = {"/livez": self._livez, "/readyz": self._readyz, PATH.decode(): self._check}
        self._exposition = exposition

    def answer(self, path: str) -> Answer:
        """Return the response for a path."""
        path = path.partition("?")[0]
        if path == "/metrics":
            return 200, _TEXT, self._exposition()
        page = self._pages.get(path)
        return page() if page else (404, _JSON, _json({"status": "not found", "paths": "/livez /readyz /metrics"}))

    def _livez(self) -> Answer:
        health = self._monitor.health()
        is_well = health is not Health.STUCK
        return (200 if is_well else 503), _JSON, _json({"status": "ok" if is_well else "stuck", "text": health.value})

    def _readyz(self) -> Answer:
        checks = self._monitor.checks()
        is_ready = set(checks.values()) == {"ok"}
        document = {"status": "ok" if is_ready else "not ready", "checks": checks}
        return (200 if is_ready else 503), _JSON, _json(document)

    def _check(self) -> Answer:
        health = self._monitor.health()
        return (503 if health is Health.STUCK else 200), _TEXT, f"{health.value}\n".encode()


def serve_health(pages: HealthPages, settings: WorkerSettings) -> None:
    """Serve in threads for the life of the process. Raises SettingsError if the port cannot be bound."""
    if settings.port:
        try:
            family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
            _start(_listening(family, (settings.host, settings.port)), pages)
        except OSError as error:
            raise SettingsError(
                f"worker.port: cannot listen on port {settings.port} of {settings.host} (worker.host)"
                f" ({error.strerror}); each worker of a machine needs a port of its own, or 0 for none"
            ) from None
    try:
        _start(_own_socket(), pages)
    except OSError as error:
        _log.warning("carecase worker --check finds nothing", reason=f"{directory()}: {error.strerror}")


def _own_socket() -> socket.socket:
    """Return this process's Unix socket; remove those of dead processes."""
    path = directory()
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)  # noqa: PTH102  # likewise
    number = open_directory(path)
    try:
        for name in os.listdir(number):  # noqa: PTH208  # as in health_socket.py
            if not is_alive(name) or name == str(os.getpid()):
                with suppress(OSError):
                    os.unlink(name, dir_fd=number)
        return _listening(socket.AF_UNIX, address(path, number, str(os.getpid())))
    finally:
        os.close(number)


def _listening(family: socket.AddressFamily, place: Any) -> socket.socket:
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(_MOST_WAITING)
    except OSError:
        listener.close()
        raise
    return listener


def _start(listener: socket.socket, pages: HealthPages) -> None:
    server = _Server(listener, pages)
    Thread(target=server.serve_forever, name="health", daemon=True).start()


class _Server(socketserver.ThreadingMixIn, socketserver.BaseServer):
    """A server with a maximum number of connections, each open for a few seconds at most.

    At the maximum, a new connection closes the oldest one of the address that has most. So a client that opens many
    connections closes only its own, and probes are safe: they send their request at once.
    """

    daemon_threads = True

    def __init__(self, listener: socket.socket, pages: HealthPages) -> None:
        super().__init__(listener.getsockname(), _Handler)
        self._listener = listener
        self._places = BoundedSemaphore(_MOST_CONNECTIONS)
        self._open: dict[socket.socket, str] = {}
        self._changing = Lock()
        self.pages = pages

    def fileno(self) -> int:
        """Return the descriptor of the listening socket, for the selector."""
        return self._listener.fileno()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection."""
        return self._listener.accept()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a request in a thread; if there is no place for it, close another connection."""
        with self._changing:
            if len(self._open) == _MOST_CONNECTIONS:
                _close(_giving_way(self._open))
        self._places.acquire()  # what is closed ends at once
        with self._changing:
            self._open[request] = client_address[0] if client_address else ""
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a request; close one that is not complete in time, even if its client keeps sending."""
        late = Timer(_REQUEST_S, _close, [request])
        late.daemon = True
        late.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            late.cancel()
            with self._changing:
                del self._open[request]
            self._places.release()

    def close_request(self, request: Any) -> None:
        """Close a connection."""
        request.close()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection after its response."""
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a broken connection: the next probe comes soon."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _REQUEST_S
    server: _Server

    def do_GET(self) -> None:  # the name that http.server calls
        """Answer a request."""
        status, content_type, body = self.server.pages.answer(self.path)
        self.send_response_only(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:  # the base's names
        """Log nothing: a line would quote the request."""


def _giving_way(connections: Mapping[socket.socket, str]) -> socket.socket:
    """Return the connection to close: the oldest one of the address that has most."""
    numbers = Counter(connections.values())
    return max(connections, key=lambda one: numbers[connections[one]])  # the first of those alike


def _close(request: socket.socket) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
