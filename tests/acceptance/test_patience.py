"""Commands that wait for somebody who does not answer: they say so within seconds, end in time, and say what to do."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.acceptance.system import COMMAND

from carecase_worker.settings.loading import process_environment

SECRET = "Winterfylleth-0123456789-Winterfylleth"
CLIENT = ("jobs", "status x", "status x --watch", "result x", "cancel x", "retry x", "submit batch.json", "jobs --json")
"""Commands of the client; the frozen service is where CARECASE_URL says."""


@dataclass(frozen=True)
class Ran:
    """A command that has ended: when it first said something, when it ended, in seconds, and what it said."""

    first: float
    seconds: float
    status: int
    lines: list[str]
    output: str


@pytest.fixture(scope="module")
def frozen() -> Iterator[int]:
    """The port of a server that is frozen: connections are made, for the kernel makes them, and nothing comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


def run(place: Path, command: str, **variables: str) -> Ran:
    environment = {**process_environment(), **{f"CARECASE_{name}": value for name, value in variables.items()}}
    began = time.monotonic()
    with subprocess.Popen(
        [*COMMAND, *command.split()], cwd=place, env=environment, stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        lines, first = [], 0.0
        for line in process.stderr:
            first = first or time.monotonic() - began
            lines.append(line.strip())
        return Ran(first, time.monotonic() - began, process.wait(), lines, process.stdout.read())


@pytest.fixture(scope="module")
def ran(frozen: int, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """Every command that asks somebody, each with a deadline of eight seconds if it has an option for it."""
    place = tmp_path_factory.mktemp("frozen")
    (place / "batch.json").write_text(json.dumps([{"case_Key": 1}]))
    service = {"URL": f"http://127.0.0.1:{frozen}", "API_KEY": "k", "TOKEN": "t", "DATABASE": "d"}
    redis = {"REDIS_URL": f"redis://:{SECRET}@127.0.0.1:{frozen}/0", "JWT_SECRET": SECRET, "FLOWER_PASSWORD": SECRET}
    database = {"DATABASES_D_URL": f"postgresql://u:{SECRET}@127.0.0.1:{frozen}/d", **redis}
    slow = {**database, "DATABASES_D_CONNECT_TIMEOUT_SECONDS": "9"}
    commands = {f"{command} --timeout 8": service for command in CLIENT}
    commands |= {f"db {name} --timeout 8": slow for name in ("upgrade", "check")}
    commands |= {"doctor --timeout 8": database, "intake": redis, "worker": redis}
    with ThreadPoolExecutor(4) as pool:
        began = {command: pool.submit(run, place, command, **held) for command, held in commands.items()}
        return {command: future.result() for command, future in began.items()}


def test_every_command_says_within_seconds_what_it_waits_for(ran: dict[str, Ran], frozen: int) -> None:
    for command, one in ran.items():
        if command != "doctor --timeout 8":  # it has lines on the way
            assert one.lines[0].startswith("Waiting for "), (command, one.lines)
            assert str(frozen) in one.lines[0]
        assert one.first < one.seconds - 0.5, command


def test_every_command_ends_in_time_with_what_to_do(ran: dict[str, Ran], frozen: int) -> None:
    for command, one in ran.items():
        assert one.status in (1, 2), command
        assert one.seconds - one.first < 30, command  # the start itself takes long on a busy machine
        text = "\n".join([*one.lines, one.output])
        assert str(frozen) in text
        assert "heck" in text, "what to check"
        assert "report" not in text.lower()
        assert SECRET not in text


def test_the_client_says_which_url_it_used_and_by_what(ran: dict[str, Ran], frozen: int) -> None:
    for command in CLIENT:
        *_, url, advice = ran[f"{command} --timeout 8"].lines
        assert url == f"The service's URL is http://127.0.0.1:{frozen} (CARECASE_URL)."
        assert "--timeout" in advice


def test_a_role_says_which_configuration_it_used(ran: dict[str, Ran]) -> None:
    for role in ("intake", "worker"):
        assert "Configuration used: no file" in ran[role].lines[-1]
        assert "3 variables CARECASE_…" in ran[role].lines[-1]


def test_the_doctor_says_once_what_is_away(ran: dict[str, Ran]) -> None:
    fixes = [line[6:].partition(": ")[0] for line in ran["doctor --timeout 8"].output.splitlines() if line[:3] == "fix"]
    assert fixes == ["clients", "redis", "databases.d"]
    assert ran["doctor --timeout 8"].output.splitlines()[-1].startswith("3 things to fix, ")


def test_what_is_tried_again_is_reported(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        one = run(tmp_path, "jobs --timeout 8", URL=f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert one.status == 2
    assert "Trying again in" in one.lines[0]
    assert one.seconds - one.first < 30
