"""The roles started as the chart's pods start them, on real servers, and probed as a node probes them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.acceptance.system import COMMAND, eventually, stopped_with_parent
from tests.deployment.chart import Object, Pod, Rendered, render
from tests.deployment.mounted import mounted
from tests.plain_http import http_get
from tests.ports import free_port
from tests.services import PASSWORDS, Services

from carecase_worker.settings.loading import process_environment

_SECRET = {"existingSecret": "carecase"}
_SERVING = ["intake", "flower", "worker"]


@pytest.fixture(scope="module")
def release(servers: Services) -> Rendered:
    """A release on the servers of these tests, with ports that are free here."""
    redis, postgres = urlsplit(servers.redis_url), urlsplit(servers.postgres_url)
    settings: Object = {
        "redis": {"url": f"redis://carecase@{redis.hostname}:{redis.port}/0"},
        "flower": {"broker_url": f"redis://flower@{redis.hostname}:{redis.port}/0", "port": free_port()},
        "intake": {"port": free_port()},
        "worker": {"port": free_port()},
    }
    database = {"url": f"postgresql+psycopg://postgres@{postgres.hostname}:{postgres.port}/demo", "password": _SECRET}
    names = ("redis_password", "jwt_secret", "encryption_keys", "flower_password", "flower_broker_password")
    no_policy = {"enabled": False}  # it would have to let these ports through
    return render(
        {
            "networkPolicy": no_policy,
            "settings": settings,
            "databases": {"demo": database},
            "secrets": dict.fromkeys(names, _SECRET),
        }
    )


def environment(release: Rendered, pod: Pod, place: Path) -> dict[str, str]:
    """The variables of a pod on this machine, and no other setting."""
    secrets = {
        "redis_password": PASSWORDS["carecase"],
        "flower_broker_password": PASSWORDS["flower"],
        "databases_demo_password": "secret",
    }
    return process_environment() | mounted(release, pod, place, secrets, {})


@contextmanager
def started(release: Rendered, role: str, place: Path) -> Iterator[tuple[Pod, "subprocess.Popen[bytes]"]]:
    """A role's pod, and its process while it runs."""
    (pod,) = release.pods(role)
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [*COMMAND, *pod.container["args"]],
            env=environment(release, pod, place / "pod"),
            stderr=log,
            preexec_fn=stopped_with_parent(),
        )
    try:
        yield pod, process
    finally:
        process.kill()
        process.wait()


def passes(pod: Pod, name: str) -> bool:
    """Make a probe as a node does."""
    probe = pod.container[name]
    if "exec" in probe:
        program, *arguments = probe["exec"]["command"]
        assert program == "python"
        command = [sys.executable, *arguments]
        return (
            subprocess.run(command, capture_output=True, timeout=60, env={"PATH": os.environ["PATH"]}).returncode == 0
        )
    (port,) = pod.container["ports"]
    try:
        url = f"http://127.0.0.1:{port['containerPort']}{probe['httpGet']['path']}"
        return 200 <= http_get(url, timeout=probe["timeoutSeconds"]).status_code < 400
    except httpx.TransportError:
        return False


def passes_or_ended(pod: Pod, name: str, process: "subprocess.Popen[bytes]") -> bool:
    """Tell whether a probe passes, or never will."""
    return process.poll() is not None or passes(pod, name)


@pytest.fixture(scope="module")
def migrated(release: Rendered, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the migration says; it has come to its end."""
    (pod,) = release.pods("migration")
    done = subprocess.run(
        [*COMMAND, *pod.container["args"]],
        env=environment(release, pod, tmp_path_factory.mktemp("migration") / "pod"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_migration_brings_every_database_up_to_date(migrated: str) -> None:
    assert migrated == "demo: up to date\n"


@pytest.mark.parametrize("role", _SERVING)
def test_a_role_passes_its_probes_and_ends_within_its_grace(
    role: str, release: Rendered, migrated: str, tmp_path: Path
) -> None:
    with started(release, role, tmp_path) as (pod, process):
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            eventually(partial(passes_or_ended, pod, name, process), what=f"{name} of {role}")
            assert process.poll() is None, (tmp_path / "log").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(pod.spec["terminationGracePeriodSeconds"]) == 0


def test_a_worker_serves_the_databases_of_its_group(release: Rendered, migrated: str, tmp_path: Path) -> None:
    with started(release, "worker", tmp_path) as (pod, process):
        seen = environment(release, pod, tmp_path / "look")

        def is_seen() -> bool:
            asked = [*COMMAND, "workers", "--here"]
            return subprocess.run(asked, env=seen, capture_output=True, timeout=60).returncode == 0

        eventually(is_seen, what="the worker is seen")
        process.send_signal(signal.SIGTERM)
        assert process.wait(pod.spec["terminationGracePeriodSeconds"]) == 0
