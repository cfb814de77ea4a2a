"""The running system, as a client and an operator have it: `carecase up`, HTTP, the target databases, processes."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import psutil
from sqlalchemy import Engine, NullPool, create_engine, text
from tests.plain_http import http_client, http_get
from tests.ports import free_port, free_ports

from carecase_worker.embedded.stack import keep_ports, running_stack
from carecase_worker.settings.loading import process_environment
from carecase_worker.settings.sections.access import JwtSettings
from carecase_worker.tokens import Bearer, sign

PR_SET_PDEATHSIG = 1
COMMAND = (sys.executable, "-m", "carecase_worker")
NO_RATE = "[intake]\nrate_per_second = 0\nrefusal_hold_seconds = 0.001\n"
"""Tests ask more often than clients may; test_rate.py has a system with the rate of the contract."""
_EVERY_LOG_LINE = "log_unknown_per_second = 1_000_000\n"
"""They read metrics again and again, without credentials, and may look for the log line of a request after that."""


def run(
    *arguments: str, cwd: Path, command: Sequence[str] = COMMAND, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a `carecase` command to its end; `command` is the one of another environment."""
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env=process_environment() | options.pop("variables", {}),
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


def stopped_with_parent() -> Callable[[], None] | None:
    """For a child to call first: it gets SIGTERM when the tests' process dies, however it dies. Linux only."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def eventually(true: Callable[[], Any], seconds: float = 300, what: str = "it") -> Any:
    """The first true answer within so many seconds."""
    deadline = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.05)  # whatever is asked for sends no event
    return answer


@dataclass
class System:
    """A running `carecase up`."""

    place: Path
    process: "subprocess.Popen[Any]"

    @property
    def data_dir(self) -> Path:
        return self.place / ".carecase"

    @property
    def stack(self) -> dict[str, Any]:
        return dict(json.loads((self.data_dir / "stack.json").read_text()))

    def pid(self, role: str, number: int = 0) -> int:
        return int(self.stack["processes"][role][number])

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(pid, number)

    def pool(self, worker: int = 0) -> list[int]:
        """The pool processes of a worker."""
        return [child.pid for child in psutil.Process(self.pid("worker", worker)).children()]

    def client(self, name: str = "demo", database: str | None = "demo", **headers: str) -> httpx.Client:
        """An HTTP client with the credentials of one of the demo's clients."""
        stack = self.stack
        who = next(client for client in stack["clients"] if client["name"] == name)
        credentials = {"x-api-key": who["api_key"], "Authorization": f"Bearer {who['bearer']}"}
        if database:
            credentials["vbasoftware-database"] = database
        return http_client(base_url=stack["intake"]["url"], headers={**credentials, **headers}, timeout=300)

    def send(self, cases: list[Any], path: str = "/care-cases-batch", database: str = "demo", **headers: str) -> str:
        """Send a batch until it is accepted, as clients do; its job id."""
        key = {"Idempotency-Key": os.urandom(8).hex(), **headers}

        def accepted() -> str | None:
            try:
                with self.client(database=database) as client:
                    response = client.put(path, json=cases, headers=key)
            except httpx.TransportError:
                return None
            assert response.status_code in (202, 503), response.text
            return response.json()["job"]["jobId"] if response.status_code == 202 else None

        return str(eventually(accepted, what="the batch was accepted"))

    def job(self, job_id: str) -> dict[str, Any] | None:
        """The job document, or None while the service does not answer."""
        try:
            with self.client() as client:
                response = client.get(f"/jobs/{job_id}")
        except httpx.TransportError:
            return None
        return response.json()["data"] if response.status_code == 200 else None

    def final(self, job_id: str, seconds: float = 300) -> dict[str, Any]:
        """The job document once the job is final."""

        def ended() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job and job["state"] in ("completed", "cancelled") else None

        return dict(eventually(ended, seconds, f"job {job_id} is final"))

    def result(self, job_id: str) -> list[dict[str, Any]]:
        """The items of the result, once the job is final."""
        self.final(job_id)
        with self.client() as client:
            response = client.get(f"/jobs/{job_id}/result")
        assert response.status_code == 207
        return list(response.json()["data"])

    def query(self, statement: str, database: str = "demo") -> list[Any]:
        """The rows of a query on a target database."""
        with _engine(self.stack["databases"][database]["url"]).connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def execute(self, statement: str, database: str = "demo") -> None:
        """Run a statement on a target database."""
        with _engine(self.stack["databases"][database]["url"]).begin() as connection:
            connection.execute(text(statement))

    def metrics(self) -> list[str]:
        """What Prometheus would read."""
        return http_get(f"{self.stack['intake']['url']}/metrics").text.splitlines()

    def answered_with(self, status: str) -> float:
        """How many requests were answered with a status."""
        lines = [line for line in self.metrics() if line.startswith("carecase_http_requests_total{")]
        assert lines, "the intake counts its answers"
        return sum(float(line.split()[-1]) for line in lines if f'status="{status}"' in line)

    def log_sizes(self) -> dict[Path, int]:
        """The bytes of the log of each process, for `logs` to begin behind."""
        return {path: path.stat().st_size for path in (self.data_dir / "logs").iterdir()}

    def logs(self, since: Mapping[Path, int] = MappingProxyType({})) -> str:
        """Everything that any process has logged, or has since then."""
        texts = {path: path.read_bytes()[since.get(path, 0) :] for path in self.log_sizes()}
        return "\n".join(text.decode(errors="replace") for text in texts.values())


def give_ports(place: Path) -> dict[str, str]:
    """Have a new data directory use ports that nobody else takes; the variables by which its start waits for none."""
    data_dir = place / ".carecase"
    data_dir.mkdir(mode=0o700, exist_ok=True)
    if not (data_dir / "ports.json").exists():
        keep_ports(data_dir, free_ports())
    return {"TMPDIR": str(place)}


@contextmanager
def running(place: Path, *options: str, command: Sequence[str] = COMMAND, **variables: str) -> Iterator[System]:
    """Run `carecase up` in a directory; stop it at the end, cleanly. Without --config it knows no rate and logs all.

    It has ports that nobody else takes, unless TMPDIR is among the variables: then it chooses as users have it.
    """
    if "TMPDIR" not in variables:
        variables = give_ports(place) | variables
    if "--config" not in options:
        (place / "no-rate.toml").write_text(NO_RATE + _EVERY_LOG_LINE)
        options = (*options, "--config", "no-rate.toml")
    output = (place / "up.log").open("w")
    environment = {**process_environment(), **variables}
    process = subprocess.Popen(
        [*command, "up", *options],
        cwd=place,
        env=environment,
        stdout=output,
        stderr=output,
        text=True,
        preexec_fn=stopped_with_parent(),
    )
    system = System(place, process)
    try:
        eventually(
            lambda: process.poll() is not None or (system.data_dir / "stack.json").exists(), what="the system is up"
        )
        assert process.poll() is None, (place / "up.log").read_text()
        yield system
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(120)
        output.close()


@contextmanager
def intake_beside(system: System, place: Path, config: str, **variables: str) -> Iterator[System]:
    """Run one more intake of a running system, with settings of its own, in `place`; the system as that one serves it.

    A start costs a tenth of what a whole system's costs, and is enough for what only intakes look at.
    """
    data_dir, port = place / ".carecase", free_port()
    (data_dir / "logs").mkdir(parents=True)
    (place / "intake.toml").write_text(config)
    own = {"CARECASE_INTAKE_PORT": str(port), "CARECASE_CONFIG": "intake.toml"}
    environment = process_environment() | running_stack(system.data_dir / "stack.json").environment() | own | variables
    claims = {name: tomllib.loads(config).get("jwt", {}).get(name) for name in ("issuer", "audience")}
    jwt, now = JwtSettings.model_validate({"secret": environment["CARECASE_JWT_SECRET"], **claims}), datetime.now(UTC)
    clients = [
        who | {"bearer": sign(Bearer(who["name"], who["name"], now + timedelta(days=1)), jwt, now)}
        for who in system.stack["clients"]
    ]
    stack = system.stack | {"clients": clients, "intake": {"url": f"http://127.0.0.1:{port}"}}
    (data_dir / "stack.json").write_text(json.dumps(stack))
    with (data_dir / "logs" / "intake.log").open("w") as log:
        process = subprocess.Popen(
            [*COMMAND, "intake"], cwd=place, env=environment, stdout=log, stderr=log, preexec_fn=stopped_with_parent()
        )
    try:
        eventually(lambda: process.poll() is not None or _is_ready(stack["intake"]["url"]), what="the intake is ready")
        assert process.poll() is None, (data_dir / "logs" / "intake.log").read_text()
        yield System(place, process)
    finally:
        process.terminate()
        process.wait(120)


@cache
def _engine(url: str) -> Engine:
    """An engine that keeps no connection: each sees the database as it is by then."""
    return create_engine(url, poolclass=NullPool)


def _is_ready(url: str) -> bool:
    try:
        return http_get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False
