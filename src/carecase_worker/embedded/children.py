"""Supervision of child processes: start, watch, restart, stop."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from carecase_worker.clock import Sleep, monotonic
from carecase_worker.errors import StackError, StackStopped
from carecase_worker.telemetry import logger

_PR_SET_PDEATHSIG = 1
_TICK = timedelta(milliseconds=50)
_RESTART_AFTER_S = 0.3
_NOTICE_AFTER_S = 4
_log = logger("up")


@dataclass(frozen=True, slots=True)
class Command:
    """The command that starts a child: `role` is its name in stack.json, `log` the file for its output."""

    role: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    user: pwd.struct_passwd | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    before_start: Callable[[], None] = lambda: None


@dataclass
class Child:
    """A running child."""

    command: Command
    process: subprocess.Popen[bytes]
    started: float
    restart_at: float | None = None


@dataclass
class Children:
    """The children of this process, in start order."""

    sleep: Sleep
    stopped: Callable[[], bool] = lambda: False
    running: list[Child] = field(default_factory=list)

    def start(self, command: Command) -> Child:
        """Start a child. Raises StackError if there is no such program."""
        child = Child(command, _spawn(command), monotonic())
        self.running.append(child)
        return child

    def wait_ready(self, child: Child, ready: Callable[[], bool], seconds: float) -> None:
        """Return once `ready`. Raises StackError, with a log's end, if a child ends or is late, or StackStopped."""
        self.wait_for(child.command.role, ready, seconds, child.command.log)

    def wait_for(self, what: str, ready: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
        """Return once `ready`; print what is waited for if that takes long. Raises as `wait_ready` does."""
        began, is_noted = monotonic(), False
        while True:
            is_ready = ready()
            if self.stopped():
                raise StackStopped("stopped while starting")
            for one in self.running:
                if one.process.poll() is not None:
                    raise StackError(f"{one.command.role} ended at once.\n{tail(one.command.log)}")
            if is_ready:
                return
            if monotonic() > began + seconds:
                late = f"{what} was not ready after {seconds:.0f} s."
                raise StackError(f"{late}\n{tail(log)}" if log else late)
            if not is_noted and monotonic() > began + _NOTICE_AFTER_S:
                _log.warning("waiting for", role=what)
                is_noted = True
            self.sleep(_TICK)

    def pids(self) -> dict[str, list[int]]:
        """Return the process ids by role."""
        found: dict[str, list[int]] = {}
        for child in self.running:
            found.setdefault(child.command.role, []).append(child.process.pid)
        return found

    def restart_exited(self) -> bool:
        """Restart the children that have died; return whether there were any."""
        revived = False
        for child in self.running:
            if child.process.poll() is None:
                continue
            now = monotonic()
            if child.restart_at is None:
                _log.warning("died", role=child.command.role, pid=child.process.pid, status=child.process.returncode)
                child.restart_at = now if now - child.started > 1 else now + _RESTART_AFTER_S
            if now >= child.restart_at:
                child.process = _spawn(child.command)
                child.started, child.restart_at = now, None
                revived = True
        return revived

    def stop(self, seconds: float, but: Sequence[str] = ()) -> None:
        """Stop all children but those of some roles; kill those that have not ended after `seconds`."""
        leaving = [child for child in self.running if child.command.role not in but]
        for child in leaving:
            if child.process.poll() is None:
                child.process.send_signal(child.command.stop_signal)
        deadline = monotonic() + seconds
        for child in leaving:
            try:
                child.process.wait(max(0.1, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("killed because it did not stop", role=child.command.role, pid=child.process.pid)
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()
            self.running.remove(child)


def tail(log: Path, lines: int = 15) -> str:
    """Return the end of a log."""
    try:
        text = log.read_text("utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        return f"(there is nothing in {log})"
    return "\n".join([f"The end of {log}:", *(f"  {line}" for line in text)])


def run_as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """Return the arguments with which `subprocess` runs a program as a user; none for the current user."""
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _spawn(command: Command) -> "subprocess.Popen[bytes]":
    command.before_start()
    with command.log.open("ab") as log:
        try:
            return subprocess.Popen(  # noqa: S603  # our own servers and roles
                command.argv,
                env=dict(command.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **run_as(command.user),
                preexec_fn=_die_with_parent(command.stop_signal),
            )
        except OSError as error:
            raise StackError(f"{command.role}: {command.argv[0]} cannot be started ({error.strerror})") from None


def _die_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """Return a function for a child to run first, on Linux: the kernel then stops the child when its parent dies."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != parent:  # it died before it could be asked for
            os._exit(1)

    return ask
