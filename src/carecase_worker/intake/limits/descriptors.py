"""File descriptor limits: each connection needs one, and so does every other open file."""

import resource

from carecase_worker.errors import SettingsError

OTHERS = 224
"""Descriptors for everything else: Redis and the broker (one per thread), logs, listening sockets."""


def descriptors_fault(connections: int, hard: int) -> str:
    """Explain why a process with a limit of `hard` descriptors cannot have so many connections; empty if it can."""
    wanted = connections + OTHERS
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        return ""
    return (
        f"{connections} connections need {wanted} file descriptors, and a process may have {hard} here;"
        " lower it, or raise the limit (ulimit -n, LimitNOFILE=, ulimits: nofile)"
    )


def most_descriptors() -> int:
    """Return the hard limit of this process's descriptors."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def reserve_descriptors(connections: int) -> None:
    """Raise this process's limit to the descriptors that so many connections need. Raises SettingsError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if fault := descriptors_fault(connections, hard):
        raise SettingsError(f"intake.max_connections: {fault}")
    wanted = connections + OTHERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
