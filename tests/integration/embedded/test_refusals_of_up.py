"""`carecase up` where it cannot start: what is wrong, where, and what to do; nothing is left running or written."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.acceptance.system import COMMAND, eventually, give_ports, run
from tests.plain_http import http_get

from carecase_worker.embedded.stack import ports_of
from carecase_worker.settings.loading import process_environment
from carecase_worker.targets.causes import Causes


def refusal(place: Path, *options: str, **variables: str) -> str:
    """The first line that `carecase up` says as it refuses to start."""
    ran = run("up", *options, cwd=place, variables=variables)
    assert (ran.returncode, ran.stdout.splitlines()[1:]) == (2, [])
    lines, used = ran.stderr.splitlines()
    assert used.startswith("Configuration used: ")
    assert not list(place.rglob("stack.json"))
    return lines


@pytest.mark.parametrize("sign", ["?", "#", "%"])
def test_a_directory_whose_name_no_database_url_can_hold_is_reported(tmp_path: Path, sign: str) -> None:
    text = "has a character that a database URL cannot have. Choose one with --data-dir."
    assert refusal(tmp_path, "--data-dir", f"a{sign}b") == f"{tmp_path}/a{sign}b: {text}"


def test_a_data_directory_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = "cannot be used as data directory (File exists). Choose one with --data-dir."
    assert refusal(tmp_path, "--data-dir", "file") == f"file: {text}"


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    lock, victim = tmp_path / f"carecase-up-{os.getuid()}.lock", tmp_path / "victim"
    lock.symlink_to(victim)
    fault = "cannot be opened (Too many levels of symbolic links)"
    text = f"{lock}: {fault}. Remove it, or set TMPDIR to a directory of your own."
    assert refusal(tmp_path, TMPDIR=str(tmp_path)) == text
    assert not victim.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to somebody else")
def test_a_lock_that_is_somebody_elses_is_reported(tmp_path: Path) -> None:
    lock = tmp_path / f"carecase-up-{os.getuid()}.lock"
    lock.touch()
    os.chown(lock, 54321, 54321)
    text = f"{lock}: belongs to another user. Remove it, or set TMPDIR to a directory of your own."
    assert refusal(tmp_path, TMPDIR=str(tmp_path)) == text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk")
def test_a_disk_that_is_too_small_is_reported(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=False).returncode:
        pytest.skip("this root may not mount a disk")
    try:
        output = refusal(tmp_path, "--data-dir", "disk", TMPDIR=str(tmp_path))
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
    text = "are free on this disk, 500 are needed. Free some, or choose a directory on another disk with --data-dir."
    free = output.removeprefix(f"{disk}: ").removesuffix(f" MiB {text}")
    assert output == f"{disk}: {free} MiB {text}"
    assert 0 < int(free) <= 8


def test_a_database_that_cannot_be_used_is_reported_and_once_it_is_away_everything_starts_without_a_configuration(
    tmp_path: Path,
) -> None:
    """What the shell has for another installation is neither migrated nor used."""
    ports = give_ports(tmp_path)
    foreign = {
        "CARECASE_DATABASES_DEMO_SQLITE_URL": "sqlite:////nowhere/elsewhere.sqlite",
        "CARECASE_CLIENTS_DEMO_API_KEY_SHA256": "0" * 64,
    }
    spoiled = tmp_path / ".carecase" / "demo.sqlite"
    spoiled.write_bytes(b"no database" * 1000)
    text = f"databases.demo_sqlite: {Causes.DAMAGED.value.text} (SQLITE_NOTADB)"
    assert refusal(tmp_path, **ports, **foreign) == text
    spoiled.unlink()
    environment = {**process_environment(), **ports, **foreign}
    with subprocess.Popen([*COMMAND, "up"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as process:
        try:
            stack = tmp_path / ".carecase" / "stack.json"
            eventually(lambda: process.poll() is not None or stack.exists(), what="the system is up")
            page = json.loads(stack.read_text())
            client, url = page["clients"][0], page["intake"]["url"]
            assert http_get(f"{url}/readyz").status_code == 200
            credentials = {"x-api-key": client["api_key"], "authorization": f"Bearer {client['bearer']}"}
            assert http_get(f"{url}/jobs", headers=credentials).status_code == 200
        finally:
            process.terminate()
            process.communicate(timeout=120)
    assert process.returncode == 0


class _Another(BaseHTTPRequestHandler):
    """An intake of somebody else's: it is ready, and knows nobody."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_another_systems_intake_at_its_port_is_not_taken_for_its_own(tmp_path: Path) -> None:
    """As when somebody else starts a system at the same time, who has a temporary directory of his own."""
    variables = give_ports(tmp_path)
    port = ports_of(tmp_path / ".carecase").intake
    with ThreadPoolExecutor() as pool:
        ran = pool.submit(run, "up", cwd=tmp_path, variables=variables)
        eventually((tmp_path / ".carecase" / "logs" / "redis.log").exists, what="the ports are chosen")
        with HTTPServer(("127.0.0.1", port), _Another) as another:
            pool.submit(another.serve_forever)
            ended = ran.result()
            another.shutdown()
    assert ended.returncode == 2
    assert "Running" not in ended.stdout
    assert f"cannot listen on port {port}" in ended.stderr
    assert not list(tmp_path.rglob("stack.json"))
