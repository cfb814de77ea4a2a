"""The `carecase` command, run in this process as a shell runs it: arguments, directory and environment are given."""

import io
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.acceptance.system import eventually
from tests.peers import Peer

from carecase_worker.cli.app import run
from carecase_worker.settings.loading import client_variables, settings_variables


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


Carecase = Callable[..., Ran]


def carecase_in(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Carecase:
    """Give the command for a test that stands in its directory."""

    def carecase(*arguments: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["carecase", *arguments])
        with pytest.raises(SystemExit) as end:
            run()
        assert isinstance(end.value.code, int)
        written = capsys.readouterr()
        return Ran(end.value.code, written.out, written.err)

    return carecase


def piped(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Let standard input be a pipe with this in it."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))


@contextmanager
def ctrl_c_at(peer: Peer, count: int) -> Iterator[None]:
    """Press Ctrl-C once the service has been asked so often."""

    def press() -> None:
        eventually(lambda: len(peer.received) >= count)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    yield
    thread.join()


def carecase_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], directory: Path) -> Carecase:
    """Give the command for a test that stands in a directory, with nothing configured."""
    for name in (*client_variables(), *settings_variables(), "CARECASE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(directory)
    return carecase_in(monkeypatch, capsys)
