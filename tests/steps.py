"""What work costs, counted so that a slow or busy machine does not make it more, nor that its lines are noted."""

import gc
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOP = 1_000_000
_TRIES = 8


def steps_each(work: Callable[[], object], size: int, most: float) -> float:
    """The processor time of some work for each unit of its size, in turns of an empty loop measured before and after.

    It is tried until it costs less than `most`, eight times at most: the first try also pays for memory that the
    machine gives the process, which some machines do at many times the price of the work. The cheapest try counts.
    """
    gc.collect()  # what others left behind is no cost of the work,
    gc.freeze()  # nor is looking through it whenever the work makes garbage of its own
    cheapest = math.inf
    with untraced():
        for _ in range(_TRIES):
            cheapest = min(cheapest, _steps_once(work) / size)
            if cheapest < most:
                break
    return cheapest


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
