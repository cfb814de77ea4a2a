"""The ends of commands when the world is not as usual: no traceback, no "please report", a status that says why."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.system import COMMAND
from tests.services import Services

from carecase_worker.settings.loading import process_environment

CARECASE = f"{sys.executable} -m carecase_worker"


def shell(line: str, place: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """What a line of bash comes to; `carecase` is the command."""
    script = f'carecase() {{ {CARECASE} "$@"; }}\n{line}'
    return subprocess.run(
        ["bash", "-c", script],
        cwd=place,
        env={**process_environment(), **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "line",
    ["generate 100000 | head -1", "--help | true", "keys new x | true", "doctor | true"],
)
def test_a_reader_that_leaves_is_no_matter_for_words(tmp_path: Path, line: str) -> None:
    ran = shell(f"carecase {line}; echo ${{PIPESTATUS[0]}} >&2", tmp_path, CARECASE_REDIS_URL="redis://127.0.0.1:1/0")
    assert ran.stderr == "141\n"


@pytest.mark.parametrize("command", ["generate 10", "generate 100000", "keys new x", "--help", "--version", "doctor"])
def test_a_full_disk_is_reported(tmp_path: Path, command: str) -> None:
    ran = shell(f"carecase {command} > /dev/full", tmp_path, CARECASE_REDIS_URL="redis://127.0.0.1:1/0")
    assert (ran.returncode, ran.stderr.count("\n")) == (74, 1)
    assert "No space left on device" in ran.stderr
    assert "report" not in ran.stderr


@pytest.mark.parametrize("line", ["carecase keys new x >&-", "carecase generate 5 >&-", "carecase generate 5 >&- 2>&-"])
def test_output_that_nobody_wants_is_not_written(tmp_path: Path, line: str) -> None:
    ran = shell(line, tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_message_that_cannot_be_written_changes_no_status(tmp_path: Path) -> None:
    assert shell("carecase status x 2> /dev/full", tmp_path).returncode == 2
    assert shell("carecase status x 2>&-", tmp_path).returncode == 2


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_a_terminal_that_lacks_letters_shows_the_rest(tmp_path: Path, variables: dict[str, str]) -> None:
    ran = shell("carecase doctor", tmp_path, CARECASE_REDIS_URL="redis://127.0.0.1:1/0", **variables)
    assert ran.returncode == 1
    assert "things to fix" in ran.stdout
    assert ran.stderr == ""


def test_it_runs_without_a_home(tmp_path: Path) -> None:
    ran = shell(f"env -i {CARECASE} status x --url http://127.0.0.1:1 --timeout 1", tmp_path)
    assert ran.returncode == 2
    assert "There is no response" in ran.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("carecase worker --config .", "cannot be read (Is a directory)"),
        ("carecase worker --config nowhere.toml", "cannot be read (No such file or directory)"),
        ("CARECASE_CONFIG=nowhere.toml carecase worker", "nowhere.toml (CARECASE_CONFIG)"),
        ("echo '[' > carecase.toml; carecase worker --config carecase.toml", "carecase.toml: is not TOML"),
        ("carecase db check", "databases: there are none"),
        ("carecase flower", "flower.password: is required; set CARECASE_FLOWER_PASSWORD"),
        ("echo '{}' > stack.json; carecase jobs", "stack.json: was not written by carecase up"),
        ("echo '{}' > stack.json; carecase doctor 1>&2", "stack.json: cannot be read"),
        ("carecase jobs --url http://h:99999", "Not a valid service URL"),
        ("carecase jobs --url http://a..b", "Not a valid service URL"),
        ("carecase jobs --url 127.0.0.1:8080", "Not a valid service URL"),
        ("carecase jobs --url http://[::1", "Not a valid service URL"),
        (
            "CARECASE_URL=http://127.0.0.1:1 carecase jobs --api-key ä",
            "The API key has a space or another invalid character",
        ),
        (
            "CARECASE_URL=http://127.0.0.1:1 carecase jobs --token 'a b'",
            "The token has a space or another invalid character",
        ),
        ("CARECASE_URL=http://h HTTP_PROXY=nonsense://x carecase jobs --insecure", "Check HTTPS_PROXY"),
        ("CARECASE_URL=https://h SSL_CERT_FILE=/nowhere carecase jobs", "SSL_CERT_FILE"),
    ],
)
def test_a_mistake_of_the_users_is_reported_as_one(tmp_path: Path, line: str, words: str) -> None:
    ran = shell(line, tmp_path)
    assert ran.returncode in (1, 2), ran.stderr
    assert words in ran.stderr
    assert "eport" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_white_space_around_a_variable_of_the_client_does_not_count(tmp_path: Path) -> None:
    ran = shell("carecase jobs --timeout 1", tmp_path, CARECASE_URL=" http://127.0.0.1:1\n", CARECASE_API_KEY="key\n")
    assert "http://127.0.0.1:1 (CARECASE_URL)" in ran.stderr


@pytest.mark.parametrize("role", ["intake", "flower"])
def test_a_port_that_is_taken_is_reported(tmp_path: Path, role: str, app_redis: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        names = {"REDIS_URL": app_redis, "JWT_SECRET": "s" * 32, "FLOWER_PASSWORD": "p", f"{role.upper()}_PORT": port}
        ran = shell(f"carecase {role}", tmp_path, **{f"CARECASE_{name}": value for name, value in names.items()})
    assert ran.returncode == 2
    assert (
        f"{role}.port: cannot listen on port {port} of 127.0.0.1 ({role}.host) (Address already in use)" in ran.stderr
    )


def test_an_intake_that_could_let_nobody_in_does_not_start(tmp_path: Path, app_redis: str) -> None:
    ran = shell("carecase intake", tmp_path, CARECASE_REDIS_URL=app_redis)
    assert ran.returncode == 2
    assert "jwt.secret: is not set" in ran.stderr


def test_ctrl_c_ends_what_waits(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        url = f"http://127.0.0.1:{frozen.getsockname()[1]}"
        with subprocess.Popen(
            [*COMMAND, "jobs", "--url", url], cwd=tmp_path, env=process_environment(), stderr=-1, text=True
        ) as process:
            assert process.stderr is not None
            assert process.stderr.readline().startswith("Waiting for ")
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(60) == 130
            assert "Traceback" not in process.stderr.read()


@pytest.fixture
def app_redis(servers: Services) -> str:
    """The URL of a Redis that is as it should be."""
    return servers.app_redis_url
