"""What work costs, counted so that a slow or busy machine does not make it more, nor that its lines are noted, nor that
the tests have many objects, which each full collection of garbage visits."""

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOP = 1_000_000


def steps(work: Callable[[], object]) -> float:
    """The processor time of some work, in turns of an empty loop that is measured before and after it."""
    with untraced(), frozen():
        before = _loop()
        began = time.process_time_ns()
        work()
        spent = time.process_time_ns() - began
        return spent * _LOOP * 2 / (before + _loop())


@contextmanager
def untraced() -> Iterator[None]:
    """Let nothing note which lines this thread reaches, and those that begin in the block: that costs more than many
    a line itself, and is no cost of the work."""
    own, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(of_threads)
        sys.settrace(own)


@contextmanager
def frozen() -> Iterator[None]:
    """Let collections of garbage visit nothing but what is made in the block."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _loop() -> int:
    """The processor time of the empty loop in ns."""
    began = time.process_time_ns()
    for _ in range(_LOOP):
        pass
    return time.process_time_ns() - began
