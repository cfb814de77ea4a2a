"""The intake's process: it ends as whoever stops it expects."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
from tests.acceptance.system import eventually
from tests.plain_http import http_get
from tests.ports import free_port
from tests.services import Services

from carecase_worker.settings.loading import process_environment


def test_an_intake_that_is_stopped_ends_with_status_0(servers: Services, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **process_environment(),
        "CARECASE_REDIS_URL": servers.redis_url,
        "CARECASE_REDIS_PREFIX": "serve:",
        "CARECASE_INTAKE_PORT": str(port),
        "CARECASE_JWT_SECRET": "s" * 32,
    }
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "carecase_worker", "intake"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            return http_get(f"http://127.0.0.1:{port}/livez").status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(answers, what="the intake answers")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
