"""The compose file brought up with real containers, and who sends batches to it."""

import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import yaml
from tests.acceptance.system import eventually
from tests.containers.engine import Engine
from tests.containers.images import OURS, ROOT
from tests.plain_http import http_client
from tests.ports import free_port

_WITHIN = {"nofile": 1024, "nproc": 1024}
"""Where a container has any limit of its own, Podman gives it the highest others, which a user may not have to give."""
SERVICES = ("redis", "postgres", "intake", "worker", "flower")
_DOCKER = f"""#!/bin/sh
# docker as a manual has it, for Podman and an old Compose: the image is there already, and who waits looks for itself
wait_healthy() {{
  until ! podman ps | grep -q "(starting)"; do sleep 0.5; done
  ! podman ps | grep "(unhealthy)"
}}
if [ "$1" = --host ]; then shift 2; fi  # as Compose calls it
case "$1 $2" in
  "build "*) exec podman image exists {OURS} ;;
  "compose up") shift 4; docker-compose up --detach --no-build "$@" && wait_healthy ;;
  "compose "*) shift; exec docker-compose "$@" ;;
  *) exec podman "$@" ;;
esac
"""
"""It knows `up` as `docker compose up --detach --wait` only."""


@dataclass(frozen=True)
class Deployment:
    """The running compose file, in a directory of its own."""

    engine: Engine
    place: Path
    values: dict[str, str]

    def compose(self, *arguments: str, seconds: float = 300) -> str:
        """The output of a command of compose's."""
        return self.engine.run("docker-compose", *arguments, cwd=self.place, seconds=seconds)

    def shell(self, script: str) -> str:
        """The output of a script in the directory, which knows `docker compose`; any failing command ends it."""
        path = f"{self.place}/bin:{self.engine.environment['PATH']}"
        return self.engine.run("env", f"PATH={path}", "bash", "-euo", "pipefail", "-c", script, cwd=self.place)

    def containers(self, service: str) -> list[str]:
        """The containers of a service that are there."""
        return self.compose("ps", "--quiet", service).split()

    def wait_healthy(self, *services: str) -> None:
        """Wait until every container of these services, or of all, is healthy."""
        for service in services or SERVICES:
            for container in self.containers(service):

                def healthy(container: str = container) -> bool:
                    return self.engine.inspect(container, "{{.State.Health.Status}}") == "healthy"

                eventually(healthy, what=f"{service} is healthy")

    def volume(self, name: str) -> Path:
        """The directory that a volume is."""
        return Path(self.engine.podman("volume", "inspect", "--format", "{{.Mountpoint}}", f"carecase_{name}"))

    def query(self, statement: str) -> list[str]:
        """The rows of a query on the database, their columns between bars."""
        (container,) = self.containers("postgres")
        command = ("psql", "--host=127.0.0.1", "--username=carecase", "--dbname=demo", "-At", "-c", statement)
        password = f"PGPASSWORD={self.values['POSTGRES_PASSWORD']}"
        return self.engine.podman("exec", "--env", password, container, *command).splitlines()

    def client(self) -> httpx.Client:
        """An HTTP client with the demo client's credentials."""
        now = int(time.time())
        claims = {"sub": "j.doe", "client_id": "demo", "iat": now, "exp": now + 3600}
        token = jwt.encode(claims, self.values["JWT_SECRET"], "HS256")
        headers = {
            "x-api-key": self.values["API_KEY"],
            "Authorization": f"Bearer {token}",
            "vbasoftware-database": "demo",
        }
        return http_client(base_url=f"http://{self.values['INTAKE_LISTEN']}", headers=headers, timeout=30)

    def send(self, cases: list[dict[str, Any]]) -> str:
        """Send a batch until it is accepted, as clients do; its job id."""
        key = {"Idempotency-Key": secrets.token_hex(8)}

        def accepted() -> str | None:
            try:
                with self.client() as client:
                    response = client.put("/care-cases-batch", json=cases, headers=key)
            except httpx.TransportError:
                return None
            assert response.status_code in (202, 429, 503), response.text
            return response.json()["job"]["jobId"] if response.status_code == 202 else None

        return str(eventually(accepted, what="the batch was accepted"))

    def result(self, job_id: str) -> list[dict[str, Any]]:
        """The items of a job's result, once it is final."""

        def result() -> list[dict[str, Any]] | None:
            try:
                with self.client() as client:
                    response = client.get(f"/jobs/{job_id}/result", headers={"Prefer": "wait=5"})
            except httpx.TransportError:
                return None
            assert response.status_code in (202, 207, 429, 503), response.text
            return response.json()["data"] if response.status_code == 207 else None

        return list(eventually(result, what=f"the result of {job_id}"))


@contextmanager
def deployed(engine: Engine, place: Path) -> Iterator[Deployment]:
    """Bring the compose file up in a directory, by what the README says; take it down at the end, with its volumes."""
    ports = {"INTAKE_LISTEN": f"127.0.0.1:{free_port()}", "FLOWER_LISTEN": f"127.0.0.1:{free_port()}"}
    engine.environment.update(COMPOSE_PROJECT_NAME="carecase", **ports)
    # the one line that an old Compose does not know: the environment names the project
    text = (ROOT / "docker-compose.yml").read_text().replace("\nname: carecase\n", "\n")
    (place / "docker-compose.yml").write_text(text)
    bounds = {"services": {name: {"ulimits": _WITHIN} for name in yaml.safe_load(text)["services"]}}
    (place / "docker-compose.override.yml").write_text(yaml.safe_dump(bounds, default_flow_style=None))
    shutil.copy(ROOT / "Dockerfile", place)
    shutil.copytree(ROOT / "config", place / "config")
    (place / "bin").mkdir()
    (place / "bin" / "docker").write_text(_DOCKER)
    (place / "bin" / "docker").chmod(0o755)
    deployment = Deployment(engine, place, dict(ports))
    script = block_of(ROOT / "README.md", "docker compose up")
    script = script.replace("127.0.0.1:8080", ports["INTAKE_LISTEN"])
    try:
        deployment.values["first answer"] = deployment.shell(f'{script}\necho "API_KEY=$API_KEY" >> .env')
        values = (line.partition("=") for line in (place / ".env").read_text().splitlines())
        deployment.values.update({name: value for name, _, value in values})
        secrets_held = {path.name.upper(): path.read_text().strip() for path in (place / "secrets").iterdir()}
        deployment.values.update(secrets_held)
        yield deployment
    except AssertionError:
        for container in engine.podman("ps", "--all", "--quiet").split():
            print(container, engine.logs(container)[-2000:])
        raise
    finally:
        deployment.compose("down", "--volumes")


def block_of(page: Path, telling: str) -> str:
    """The one block of shell lines in a page that has these words."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL)
    (block,) = [text for text in blocks if telling in text]
    return str(block)
