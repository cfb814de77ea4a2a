"""Which process holds a lease, by a name that no other one ever has."""

import os
import socket
from pathlib import Path

_STATE, _STARTED = 0, 19
"""The places of a process's state and start time in /proc/…/stat, counted after its name; proc_pid_stat(5)."""
_NO_MORE = ("Z", "X", "x")
"""The states of a process that has ended and whose parent does not know it yet; Celery looks every five seconds."""


def own_name() -> str:
    """The name of this process: its machine and process namespace, its id, and when it started."""
    return f"{_machine()}:{os.getpid()}:{_started(os.getpid())}"


def is_dead(name: str) -> bool:
    """Whether a name is that of a process of this machine that is no more. False where that cannot be known."""
    machine, _, rest = name.partition(":")
    pid, _, started = rest.partition(":")
    return machine == _machine() and bool(started) and _started(int(pid)) != started


def is_of_this_machine(name: str) -> bool:
    """Tell whether a name is that of a process of this machine, or of this container, that lives."""
    return name.partition(":")[0] == _machine() and not is_dead(name)


def _machine() -> str:
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}/{_boot()}/{namespace.removeprefix('pid:')}"


def _boot() -> str:
    """The id of this start of the machine: two machines may share a name, and the number of a namespace."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process of this machine started, in ticks since the machine did; empty if there is none any more."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if told[_STATE] in _NO_MORE else told[_STARTED]
    except (OSError, IndexError):
        return ""
