"""An intake that runs by itself, behind proxies."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import jwt
from tests.acceptance.system import COMMAND, eventually
from tests.plain_http import http_get
from tests.ports import free_port
from tests.services import Services

from carecase_worker.settings.loading import process_environment

SECRET = "a secret that only this test knows"
KEY = "k" * 32
PROXY, OTHER = "127.0.0.1", "127.0.0.2"
CONFIG = f"""
[intake]
ROOT
trusted_proxies = ["127.0.0.1", "10.8.0.0/16"]
rate_per_second = 0
[databases.demo]
url = "sqlite:///demo.db"
[clients.demo]
api_key_sha256 = ["{sha256(KEY.encode()).hexdigest()}"]
databases = ["demo"]
"""
TOKEN = jwt.encode({"sub": "j.doe", "client_id": "demo", "exp": 4_000_000_000}, SECRET, "HS256")


@dataclass(frozen=True)
class Intake:
    """An intake that runs by itself."""

    port: int
    log: Path

    def client(self, address: str = PROXY, **headers: str) -> httpx.Client:
        """A client that comes from an address of this machine."""
        credentials = {"x-api-key": KEY, "Authorization": f"Bearer {TOKEN}", "vbasoftware-database": "demo"}
        transport = httpx.HTTPTransport(local_address=address)
        base = f"http://127.0.0.1:{self.port}"
        return httpx.Client(base_url=base, headers={**credentials, **headers}, transport=transport, timeout=60)

    def log_record(self, **fields: object) -> dict[str, Any]:
        """The line of the access log that has these fields."""

        def found() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
            return [line for line in lines if fields.items() <= line.items()]

        return dict(eventually(found, 10)[-1])


@contextmanager
def an_intake(place: Path, servers: Services, root_path: str) -> Iterator[Intake]:
    """Run `carecase intake` alone: batches stay in the store."""
    port, log = free_port(), place / "intake.log"
    root = f'root_path = "{root_path}"' if root_path else ""
    (place / "carecase.toml").write_text(CONFIG.replace("ROOT", root))
    variables = {
        "CARECASE_REDIS_URL": servers.redis_url,
        "CARECASE_REDIS_PREFIX": f"{place.name}:",
        "CARECASE_JWT_SECRET": SECRET,
        "CARECASE_INTAKE_PORT": str(port),
    }
    command = [*COMMAND, "intake", "--config", "carecase.toml"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=place, env={**process_environment(), **variables}, stdout=output, stderr=output
        )
    try:
        eventually(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/livez"))
        assert process.poll() is None, log.read_text()
        yield Intake(port, log)
    finally:
        process.terminate()
        process.wait(60)


def answers(url: str) -> bool:
    try:
        return http_get(url).status_code == 200
    except httpx.TransportError:
        return False
