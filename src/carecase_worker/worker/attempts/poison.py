"""Isolation of poison items, which kill the process of their chunk, by rehearsing them in child processes."""

import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

from carecase_worker.errors import FailureKind, TargetFailure
from carecase_worker.store.operations.claims import History
from carecase_worker.store.operations.isolation import Isolation

_DEATHS_BEFORE_ISOLATION = 3
_FINE = 0
_FAILED = 3

Rehearse = Callable[[Collection[int]], None]
"""A function that applies the items at some indices and rolls back."""


class _End(Enum):
    """Ends of a rehearsal; LATE if its time was over."""

    FINE = auto()
    FAILED = auto()
    DIED = auto()
    LATE = auto()


def is_to_isolate(history: History) -> bool:
    """Return whether a chunk keeps killing its processes, by items that are not all known yet."""
    known = history.isolation
    is_done = known is not None and known.deaths == history.deaths and not known.suspects
    return history.deaths >= _DEATHS_BEFORE_ISOLATION and not is_done


def isolation_of(history: History, count: int) -> Isolation:
    """Return how far the search among `count` items has come; after a further death it begins again."""
    known = history.isolation
    if known is not None and known.deaths == history.deaths:
        return known
    return Isolation(history.deaths, known.found if known else (), ((0, count),))


def isolated_further(known: Isolation, rehearse: Rehearse, time_s: float, seconds: Callable[[], float]) -> Isolation:
    """Search for poison items for so many seconds of a clock; return how far that has come.

    Bisects: a set of items is halved if its process dies, or if it alone takes all of the time; about twenty processes
    for each poison item among a thousand. Raises TargetFailure if the first rehearsal fails for another reason.
    """
    until, has_come_further = seconds() + time_s, False
    found, suspects = set(known.found), list(known.suspects)
    while suspects and (left_s := until - seconds()) > 0:
        first, behind = suspects[-1]
        places = [place for place in range(first, behind) if place not in found]
        end = _rehearsed(places, rehearse, left_s) if places else _End.FINE
        if end in (_End.FAILED, _End.LATE) and has_come_further:
            break
        if end is _End.FAILED:
            raise TargetFailure(FailureKind.TOO_SLOW)
        suspects.pop()
        if end is not _End.FINE and len(places) > 1:
            middle = places[len(places) // 2]
            suspects += [(middle, behind), (first, middle)]
        elif end is _End.DIED:
            found.update(places)
        has_come_further = True
    return Isolation(known.deaths, tuple(sorted(found)), tuple(suspects))


def _rehearsed(places: Collection[int], rehearse: Rehearse, time_s: float) -> _End:
    pid = os.fork()
    if pid == 0:
        _rehearse_and_exit(places, rehearse, time_s)
    status = None
    try:
        _, status = os.waitpid(pid, 0)
    finally:
        if status is None:  # the attempt is interrupted: leave no process behind
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return _End.LATE
    ends = {_FINE: _End.FINE, _FAILED: _End.FAILED}
    return ends.get(os.WEXITSTATUS(status), _End.DIED) if os.WIFEXITED(status) else _End.DIED


def _rehearse_and_exit(places: Collection[int], rehearse: Rehearse, time_s: float) -> None:
    """Rehearse in the child and exit; never returns, and runs none of the parent's exit handlers."""
    status = _FAILED
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, time_s)  # ends it wherever it hangs
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")  # if memory runs out, let it be this process
        rehearse(places)
        status = _FINE
    finally:
        os._exit(status)
