"""Serve the application over HTTP until told to stop."""

from functools import partial
from typing import Any, cast

import uvicorn

from carecase_worker.clock import SystemClock, uuid7
from carecase_worker.intake.app import create_app
from carecase_worker.intake.connections import Guard, GuardedConnection
from carecase_worker.settings.model import Settings
from carecase_worker.telemetry import configure_logging


def serve(settings: Settings) -> None:
    """Serve in this process. Raises SettingsError or StoreUnavailable before it listens."""
    configure_logging(settings.log)
    clock = SystemClock()
    connection = partial(GuardedConnection, guard=Guard.of(settings.intake), new_id=lambda: str(uuid7(clock)))
    uvicorn.run(
        create_app(settings),
        host=settings.intake.host,
        port=settings.intake.port,
        loop="uvloop",
        http=cast(Any, connection),
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=cast(Any, settings.intake.idle_timeout.total_seconds()),
        timeout_graceful_shutdown=10,
    )
