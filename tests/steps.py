"""What work costs, counted so that a slow or busy machine does not make it more, nor that its lines are noted."""

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOP = 1_000_000
_TRIES = 8


def steps(work: Callable[[], object]) -> float:
    """The processor time of some work, in turns of an empty loop that is measured before and after it: of eight tries
    the cheapest, since the first also pays for memory that the machine gives the process, which some machines do at
    many times the price of the work."""
    gc.collect()  # what others left behind is no cost of the work,
    gc.freeze()  # nor is looking through it whenever the work makes garbage of its own
    with untraced():
        return min(_steps_once(work) for _ in range(_TRIES))


def _steps_once(work: Callable[[], object]) -> float:
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


def _loop() -> int:
    """The processor time of the empty loop in ns."""
    began = time.process_time_ns()
    for _ in range(_LOOP):
        pass
    return time.process_time_ns() - began
