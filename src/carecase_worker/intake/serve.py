"""Serve the application over HTTP until told to stop."""

import uvicorn

from carecase_worker.intake.app import create_app
from carecase_worker.settings.model import Settings
from carecase_worker.telemetry import configure_logging


def serve(settings: Settings) -> None:
    """Serve in this process. Raises SettingsError or StoreUnavailable before it listens."""
    configure_logging(settings.log)
    uvicorn.run(
        create_app(settings),
        host=settings.intake.host,
        port=settings.intake.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
