"""Isolation of poison items, which kill the process of their chunk, by rehearsing them in child processes."""

import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from carecase_worker.errors import FailureKind, TargetFailure

_FINE = 0
_FAILED = 3

Rehearse = Callable[[Collection[int]], None]
"""A function that applies the items at some indices and rolls back."""


def poison_items(count: int, rehearse: Rehearse) -> set[int]:
    """Return the indices, among `count` items, of those that kill a process that rehearses them.

    Bisects: a set of items is halved if its process dies; about twenty processes for each poison item among a thousand.
    Raises TargetFailure if a rehearsal fails for another reason.
    """
    found: set[int] = set()
    suspects = [range(count)]
    while suspects:
        places = suspects.pop()
        if _survives(places, rehearse):
            continue
        if len(places) == 1:
            found.update(places)
        else:
            middle = len(places) // 2
            suspects += [places[:middle], places[middle:]]
    return found


def _survives(places: Collection[int], rehearse: Rehearse) -> bool:
    pid = os.fork()
    if pid == 0:
        _rehearse_and_exit(places, rehearse)
    status = None
    try:
        _, status = os.waitpid(pid, 0)
    finally:
        if status is None:  # the attempt's deadline has come: leave no process behind
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _FAILED:
        raise TargetFailure(FailureKind.TOO_SLOW)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == _FINE


def _rehearse_and_exit(places: Collection[int], rehearse: Rehearse) -> None:
    """Rehearse in the child and exit; never returns, and runs none of the parent's exit handlers."""
    status = _FAILED
    try:
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")  # if memory runs out, let it be this process
        rehearse(places)
        status = _FINE
    finally:
        os._exit(status)
