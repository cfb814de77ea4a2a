"""`carecase top` on the running system: a document for scripts, and a screen that can be resized and left."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.acceptance.system import COMMAND, System, eventually, run
from tests.builders import a_case
from tests.ports import free_port

from carecase_worker.settings.loading import process_environment

MEMBERS = {
    "database", "openJobs", "openItems", "openBytes", "openChunks", "itemsPerSecond", "oldestJob", "oldestJobSeconds",
    "breaker", "trouble",
}  # fmt: skip


class Terminal:
    """A terminal in which a command runs: all that was written to it so far."""

    def __init__(self, descriptor: int, process: "subprocess.Popen[bytes]") -> None:
        self.descriptor = descriptor
        self.process = process
        self.text = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def press(self, key: str) -> None:
        os.write(self.descriptor, key.encode())

    def shows(self, part: str) -> bool:
        """Read what has come; whether a part is among all that was ever shown."""
        try:
            while True:
                self.text += os.read(self.descriptor, 65_536).decode(errors="replace")
        except OSError:  # nothing more for now, or the other end is closed
            return part in self.text


@contextmanager
def top_in_a_terminal(place: Path) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    os.set_blocking(ours, False)
    environment = process_environment() | {"TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*COMMAND, "top", "--every", "0.2"],
        cwd=place, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
    )  # fmt: skip
    terminal = Terminal(ours, process)
    try:
        before = termios.tcgetattr(theirs)
        yield terminal
        process.wait(60)
        assert termios.tcgetattr(theirs) == before, "the terminal is as it was"
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def test_the_document_describes_the_running_system(system: System, first_key: int) -> None:
    job_id = system.send([a_case(first_key)])
    system.final(job_id)
    ended = run("top", "--once", "--json", cwd=system.place)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert set(told) == {"at", "databases", "workers", "chunks"}
    assert [one["database"] for one in told["databases"]] == ["demo", "demo_sqlite"]
    assert all(set(one) == MEMBERS for one in told["databases"])
    assert {one["pid"] for one in told["workers"]} >= set(system.stack["processes"]["worker"])


def test_without_a_terminal_it_shows_once(system: System) -> None:
    ended = run("top", cwd=system.place)
    assert ended.returncode == 0
    assert "demo_sqlite" in ended.stdout
    assert "\x1b" not in ended.stdout


@pytest.mark.parametrize("end", ["q", "\x03", signal.SIGTERM])
def test_the_screen_is_resized_and_left(system: System, end: "str | signal.Signals") -> None:
    with top_in_a_terminal(system.place) as terminal:
        eventually(lambda: terminal.shows("demo_sqlite"), 60, "the screen is shown")
        assert "\x1b[?1049h" in terminal.text, "it has a screen of its own"
        terminal.text = ""
        terminal.resize(20, 60)
        eventually(lambda: terminal.shows("demo_sqlite"), 60, "the screen is drawn again")
        assert terminal.process.poll() is None
        if isinstance(end, str):
            terminal.press(end)
        else:
            terminal.process.send_signal(end)
        status = terminal.process.wait(60)
        assert status == (128 + end if isinstance(end, signal.Signals) else 0)
        assert terminal.shows("\x1b[?1049l"), "the screen before is back"


def test_a_redis_that_is_away_is_named_with_exit_status_2(tmp_path: Path) -> None:
    variables = {
        "CARECASE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "CARECASE_DATABASES_DEMO_URL": "sqlite:///nowhere",
    }
    ended = run("top", "--once", cwd=tmp_path, variables=variables)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert variables["CARECASE_REDIS_URL"] in ended.stderr
    assert "Traceback" not in ended.stderr


def test_json_without_once_is_refused(system: System) -> None:
    ended = run("top", "--json", cwd=system.place)
    assert ended.returncode == 2
    assert "--once" in ended.stderr
