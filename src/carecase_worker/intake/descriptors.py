"""File descriptors: each connection takes one, and so does whatever else the process has open."""

import resource

from carecase_worker.errors import SettingsError

OTHERS = 224
"""Descriptors for all else: Redis and the broker, with one for each thread, logs, sockets to listen at."""


def descriptors_fault(connections: int, hard: int) -> str:
    """Tell why a process that may have `hard` descriptors cannot have so many connections; empty if it can."""
    wanted = connections + OTHERS
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        return ""
    return (
        f"{connections} connections need {wanted} file descriptors, and a process may have {hard} here;"
        " lower it, or raise the limit (ulimit -n, LimitNOFILE=, ulimits: nofile)"
    )


def most_descriptors() -> int:
    """The number of descriptors that a process of this one's kind may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def reserve_descriptors(connections: int) -> None:
    """Let this process have as many descriptors as so many connections need. Raises SettingsError if it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if fault := descriptors_fault(connections, hard):
        raise SettingsError(f"intake.max_connections: {fault}")
    wanted = connections + OTHERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
