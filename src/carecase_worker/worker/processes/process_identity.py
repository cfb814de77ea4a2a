"""Names of the processes that hold leases, unique across machines and time."""

import os
import socket
from pathlib import Path

_STATE, _STARTED = 0, 19
"""Positions of a process's state and start time in /proc/…/stat, counted after its name; see proc_pid_stat(5)."""
_NO_MORE = ("Z", "X", "x")
"""States of a process that has ended but is not reaped yet; Celery reaps every five seconds."""


def own_name() -> str:
    """Return the name of this process: its machine and process namespace, its id, and when it started."""
    return f"{_machine()}:{os.getpid()}:{_started(os.getpid())}"


def is_dead(name: str) -> bool:
    """Return whether a name is that of a dead process of this machine; False if that is unknown."""
    machine, _, rest = name.partition(":")
    pid, _, started = rest.partition(":")
    return machine == _machine() and bool(started) and _started(int(pid)) != started


def is_of_this_machine(name: str) -> bool:
    """Return whether a name is that of a live process of this machine or container."""
    return name.partition(":")[0] == _machine() and not is_dead(name)


def _machine() -> str:
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}/{_boot()}/{namespace.removeprefix('pid:')}"


def _boot() -> str:
    """Return the boot id, since two machines may share a host name and a namespace number."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return the start time of a process of this machine, in ticks since boot; empty if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[_STATE] in _NO_MORE else fields[_STARTED]
    except (OSError, IndexError):
        return ""
