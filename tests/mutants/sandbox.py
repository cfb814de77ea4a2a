"""A copy of the repository in which a mutant is tried: the working tree is never touched.

The copy has an environment of its own, whose only paths are the copy's `src` and the packages of the environment that
runs this. So each process that a test starts has the copy's code, whatever variables it is given.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil

_MARK = "MUTANTS_SANDBOX"
_GRACE_SECONDS = 5
_PASSED = (0, 5)
"""Of pytest: all passed; there was none to run."""
_moments = count(1_000_000_000)
"""Times of change, each used once: what was compiled from another text of a file is never taken for this one's."""


@dataclass(frozen=True)
class Ran:
    """Outcome of a run of pytest."""

    passed: bool
    timed_out: bool
    output: str


class Sandbox:
    """One copy, for one mutant at a time."""

    def __init__(self, root: Path, place: Path) -> None:
        self.place = place
        self.copy, self._python = place / "repository", place / "repository" / ".venv" / "bin" / "python"
        self._environment = {**os.environ, _MARK: str(place), "HYPOTHESIS_STORAGE_DIRECTORY": str(place / "examples")}
        self._started: subprocess.Popen[bytes] | None = None
        self._is_removed = False
        place.mkdir(parents=True)
        for name in _files(root):
            copied = self.copy / name
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copied, follow_symlinks=False)
        self._make_environment()

    def put(self, path: str, text: str) -> None:
        """Write a file of the copy."""
        (self.copy / path).write_text(text, "utf-8")
        moment = next(_moments)
        os.utime(self.copy / path, (moment, moment))

    def command(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the copy; what it leaves running is ended with the sandbox."""
        return subprocess.run(command, cwd=self.copy, env=self._environment, capture_output=True, text=True)

    def run(self, arguments: Sequence[str], limits: Mapping[str, float], seconds: float) -> Ran:
        """Run pytest in the copy for so many seconds at most; nothing that it started is left.

        Args:
            arguments: of pytest
            limits: the seconds after which a test has failed, by its name without parameters, or by its file's
            seconds: those after which it is ended

        """
        temporary, output = self.place / "tmp", self.place / "output"
        asked = [str(output), ["-p", "no:cacheprovider", f"--basetemp={temporary}", *arguments], dict(limits)]
        fork_server = self._fork_server()
        assert fork_server.stdin
        assert fork_server.stdout
        fork_server.stdin.write(f"{json.dumps(asked)}\n".encode())
        in_time = bool(select.select([fork_server.stdout], [], [], seconds)[0])
        self._end_all()
        status = int(fork_server.stdout.readline() or -1)
        shutil.rmtree(temporary, ignore_errors=True)
        return Ran(in_time and status in _PASSED, not in_time, output.read_text("utf-8", "replace"))

    def remove(self) -> None:
        """End what still runs, and delete the copy; whoever is about to use it fails."""
        self._is_removed = True
        if self._started:
            self._started.kill()
            self._started.wait()
        self._end_all()
        shutil.rmtree(self.place, ignore_errors=True)

    def _fork_server(self) -> "subprocess.Popen[bytes]":
        """The process that forks for each run."""
        if self._is_removed:
            raise RuntimeError("The run of mutants has ended.")
        if self._started is None or self._started.poll() is not None:
            program = Path(__file__).with_name("fork_server.py")
            self._started = subprocess.Popen(
                [self._python, "-P", program], cwd=self.copy, env=self._environment, bufsize=0,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
            )  # fmt: skip
        return self._started

    def _make_environment(self) -> None:
        environment, programs = self.copy / ".venv", Path(sys.executable).parent
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        packages = next((environment / "lib").glob("*/site-packages"))
        (packages / "copy.pth").write_text(f"{self.copy / 'src'}\n{sysconfig.get_path('purelib')}\n")
        for program in programs.iterdir():
            copied = environment / "bin" / program.name
            if copied.exists() or not program.is_file():
                continue
            head, _, rest = program.read_bytes().partition(b"\n")
            if head.startswith(b"#!") and b"python" in head:
                copied.write_bytes(f"#!{self._python}\n".encode() + rest)
                copied.chmod(0o755)
            else:
                copied.symlink_to(program)

    def _end_all(self) -> None:
        """End every process of a run, gently at first: PostgreSQL then frees the memory that it shares."""
        for number, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, _GRACE_SECONDS)):
            kept = self._started.pid if self._started else None
            processes = [one for one in psutil.process_iter() if one.pid != kept and self._is_ours(one)]
            for process in processes:
                _send(process, number)
            _, left = psutil.wait_procs(processes, seconds)
            if not left:
                return

    def _is_ours(self, process: psutil.Process) -> bool:
        """PostgreSQL and Celery write over their environment: one has its directory as argument, one works there."""
        try:
            place = str(self.place)
            places = (process.cwd(), *process.cmdline())
            return process.environ().get(_MARK) == place or any(place in part for part in places)
        except psutil.Error:
            return False


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _files(root: Path) -> list[str]:
    """The files of the working tree as they are, but for those that git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    return [name for name in listed.stdout.decode().split("\0") if name and os.path.lexists(root / name)]
