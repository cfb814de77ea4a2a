"""The HTTP server of the intake; runs until it is stopped by a signal."""

import gc
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from carecase_worker.clock import SystemClock, uuid7
from carecase_worker.errors import SettingsError
from carecase_worker.intake.app import create_app
from carecase_worker.intake.http.connections.protocol import Guard, GuardedConnection
from carecase_worker.intake.limits.descriptors import reserve_descriptors
from carecase_worker.intake.limits.process import Shared
from carecase_worker.settings.model import Settings
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.telemetry import configure_logging

_COLLECT_AFTER = 20_000
"""Number of new objects after which garbage is collected: a body has many items; Python 3.11's default is 700."""
_SWITCH_S = 0.0005
"""Seconds for which a thread, such as one that splits a body, may keep the interpreter; Python's default is 5 ms."""

_LISTENERS = 8
"""Connections that one pass of the event loop accepts: libuv (1.45) accepts one per listening descriptor. While threads
have the interpreter, a pass takes milliseconds, and a client that opens many connections would delay others by
seconds."""


def serve(settings: Settings) -> None:
    """Serve in this process. Raises SettingsError or StoreUnavailable before it listens."""
    configure_logging(settings.log)
    reserve_descriptors(settings.intake.max_connections)
    sys.setswitchinterval(_SWITCH_S)
    app = create_app(settings)
    gc.set_threshold(_COLLECT_AFTER)
    gc.collect()
    gc.freeze()  # these objects stay: each full collection would stop all requests for 0.1 s to scan them
    server = server_of(app, settings.intake, app.state.end_waiting, app.state.shared)
    # uvicorn sends itself the signal again after the last response: exit with 0, not by the signal
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.run(listeners_of(settings.intake))


def server_of(
    app: ASGIApp, settings: IntakeSettings, end_waiting: Callable[[], None], shared: Shared
) -> uvicorn.Server:
    """Make the server of an application, with guarded connections; it calls `end_waiting` when it stops."""
    clock = SystemClock()
    connection = partial(GuardedConnection, guard=Guard.of(settings), new_id=lambda: str(uuid7(clock)), shared=shared)
    config = uvicorn.Config(
        cast(Any, app),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=cast(Any, connection),
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # the application's own, which believes the proxies of the settings only
        timeout_keep_alive=cast(Any, settings.idle_timeout.total_seconds()),
        timeout_graceful_shutdown=10,
    )
    return _Server(config, end_waiting)


def listeners_of(settings: IntakeSettings) -> list[socket.socket]:
    """Bind the address to listen on; return descriptors of that one socket. Raises SettingsError."""
    bound = _bound(settings)
    return [bound, *(bound.dup() for _ in range(_LISTENERS - 1))]


def _bound(intake: IntakeSettings) -> socket.socket:
    """Bind a socket to the address to listen on. Raises SettingsError if that is not possible."""
    bound = socket.socket(socket.AF_INET6 if ":" in intake.host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((intake.host, intake.port))
    except OSError as error:
        bound.close()
        raise SettingsError(
            f"intake.port: cannot listen on port {intake.port} of {intake.host} (intake.host) ({error.strerror})"
        ) from None
    return bound


class _Server(uvicorn.Server):
    """A server that answers long polls at once when it stops."""

    def __init__(self, config: uvicorn.Config, end_waiting: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_waiting = end_waiting

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the long polls, then shut down as uvicorn does."""
        self._end_waiting()
        await super().shutdown(sockets)
