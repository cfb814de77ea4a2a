"""Each role runs in an environment that has what the package declares and nothing else."""

import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest
from tests.acceptance.system import eventually, run, running
from tests.builders import a_case
from tests.collector import collecting
from tests.environments import COMPILE_ONCE
from tests.plain_http import http_get
from tests.ports import free_port
from tests.services import Services

from carecase_worker.settings.loading import process_environment
from carecase_worker.targets.schema.migration import create_database

ROLES = ("intake", "worker", "flower")
SECRET = "0123456789abcdef" * 4


def settings(servers: Services, name: str) -> dict[str, str]:
    """The settings of a system of its own on the tests' servers."""
    create_database(servers.postgres_url.replace("/demo", "/postgres"), name)
    named = {
        "REDIS_URL": servers.redis_url,
        "REDIS_PREFIX": f"{name}:",
        "BROKER_PREFIX": f"{name}-broker:",
        "INTAKE_HOST": "127.0.0.1",
        "INTAKE_PORT": str(free_port()),
        "JWT_SECRET": SECRET,
        "ENCRYPTION_KEYS": f"k1:{'A' * 43}=",
        "FLOWER_PORT": str(free_port()),
        "FLOWER_PASSWORD": SECRET,
        "DATABASES_DEMO_URL": servers.postgres_url.replace("/demo", f"/{name}"),
        "CLIENTS_ANN_API_KEY_SHA256": hashlib.sha256(SECRET.encode()).hexdigest(),
        "CLIENTS_ANN_DATABASES": "demo",
    }
    return {f"CARECASE_{setting}": value for setting, value in named.items()} | COMPILE_ONCE


def access(variables: dict[str, str]) -> dict[str, str]:
    """The variables of a client of that system."""
    claims = {"sub": "ann", "client_id": "ann", "exp": datetime.now(UTC) + timedelta(minutes=10)}
    return {
        "CARECASE_URL": f"http://127.0.0.1:{variables['CARECASE_INTAKE_PORT']}",
        "CARECASE_API_KEY": SECRET,
        "CARECASE_TOKEN": jwt.encode(claims, SECRET, algorithm="HS256"),
        "CARECASE_DATABASE": "demo",
    }


def is_well(url: str) -> bool:
    try:
        return http_get(url).status_code == 200
    except httpx.TransportError:
        return False


def ended(started: "list[subprocess.Popen[bytes]]") -> list[str]:
    return [role for role, one in zip(ROLES, started, strict=True) if one.poll() is not None]


@contextmanager
def roles(command: str, variables: dict[str, str], place: Path) -> Iterator[None]:
    """Run every role until it is well, and stop it: it ends by itself, and has logged no error."""
    started = []
    for role in ROLES:
        with (place / f"{role}.log").open("w") as log:
            environment = process_environment() | variables
            started.append(subprocess.Popen([command, role], cwd=place, env=environment, stdout=log, stderr=log))
    ready = [f"http://127.0.0.1:{variables['CARECASE_INTAKE_PORT']}/readyz"]
    ready.append(f"http://127.0.0.1:{variables['CARECASE_FLOWER_PORT']}/flower/healthcheck")
    try:
        eventually(lambda: all(map(is_well, ready)) or ended(started), what="every role is well")
        assert not ended(started), (place / f"{ended(started)[0]}.log").read_text()
        yield
    finally:
        for one in started:
            one.send_signal(signal.SIGTERM)
        statuses = {one.wait(60) for one in started}
        logs = {role: (place / f"{role}.log").read_text() for role in ROLES}
    assert statuses <= {0, -signal.SIGTERM}, logs
    wrong = (
        '"level": "(error|critical)"|Traceback|Error: '  # a warning is right where a busy machine keeps Redis waiting
    )
    assert [line for log in logs.values() for line in log.splitlines() if re.search(wrong, line)] == []


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("carecase-worker", "in the image"),
        ("carecase-worker[embedded]", "lowest"),  # the environment in which up runs, too
    ],
    ids=["in the image", "lowest"],
)
def test_every_role_starts_and_a_batch_is_applied(
    servers: Services, installed: Callable[[str, str], str], name: str, way: str, tmp_path: Path
) -> None:
    command = installed(name, way)
    variables = settings(servers, f"roles_{way.partition(' ')[0]}")

    def carecase(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
        return run(*arguments, cwd=tmp_path, command=[command], variables=variables | access(variables), **options)

    upgraded = carecase("db", "upgrade")
    assert upgraded.stdout == "demo: up to date\n", upgraded.stderr
    with roles(command, variables, tmp_path):
        sent = carecase("submit", "-", "--json", input=json.dumps([a_case(1), a_case(2)]))
        assert sent.returncode == 0, sent.stderr
        assert json.loads(sent.stdout)["created"] == 2
        examined = carecase("doctor")
        assert (examined.returncode, examined.stderr) == (0, ""), examined.stdout


def test_the_embedded_servers_are_an_extra_and_up_names_it_at_once(
    installed: Callable[[str, str], str], tmp_path: Path
) -> None:
    command, variables = [installed("carecase-worker", "in the image")], {**COMPILE_ONCE, "TMPDIR": str(tmp_path)}
    with (tmp_path / f"carecase-up-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as another start on this machine, which would be awaited
        refused = run("up", cwd=tmp_path, command=command, variables=variables)
    assert refused.returncode == 2
    lines = refused.stderr.splitlines()
    assert lines[0] == "The embedded servers are not installed. Run: pip install 'carecase-worker[embedded]'", lines
    assert [line.partition(":")[0] for line in lines[1:]] == ["Configuration used"], lines


def test_tracing_is_an_extra_and_its_setting_names_it(
    servers: Services, installed: Callable[[str, str], str], tmp_path: Path
) -> None:
    traced = settings(servers, "roles_untraced") | {"CARECASE_TRACING_ENDPOINT": "http://127.0.0.1:4318"}
    command = [installed("carecase-worker[embedded]", "lowest")]
    for role in ("worker", "intake"):
        refused = run(role, cwd=tmp_path, command=command, variables=traced | COMPILE_ONCE)
        assert refused.returncode == 2, refused.stderr
        assert "tracing.endpoint: needs OpenTelemetry" in refused.stderr
        assert "pip install 'carecase-worker[otel]'" in refused.stderr


def test_the_image_can_trace(servers: Services, installed: Callable[[str, str], str], tmp_path: Path) -> None:
    command = installed("carecase-worker", "in the image")
    with collecting() as collector:
        variables = settings(servers, "roles_traced") | {"CARECASE_TRACING_ENDPOINT": collector.url}
        whole = variables | access(variables)
        assert run("db", "upgrade", cwd=tmp_path, command=[command], variables=whole).returncode == 0
        with roles(command, variables, tmp_path):
            sent = run("submit", "-", cwd=tmp_path, command=[command], variables=whole, input=json.dumps([a_case(1)]))
            assert sent.returncode == 0, sent.stderr
        assert {"PUT /care-cases-batch", "chunk", "job"} <= {span.name for span in collector.spans}


def test_up_runs_the_whole_system_with_the_extra(installed: Callable[[str, str], str], tmp_path: Path) -> None:
    command = [installed("carecase-worker[embedded]", "lowest")]
    with running(tmp_path, "--workers", "1", command=command, **COMPILE_ONCE) as started:
        job = started.send([a_case(1), a_case(2)])
        assert started.final(job)["created"] == 2
        sent = run("submit", "-", "--json", cwd=tmp_path, command=command, input=json.dumps([a_case(3)]))
        assert json.loads(sent.stdout)["created"] == 1, sent.stderr
    assert started.process.returncode == 0
