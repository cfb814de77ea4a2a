"""What work costs, counted so that a slow or busy machine does not make it more."""

import time
from collections.abc import Callable

_LOOP = 1_000_000


def steps(work: Callable[[], object]) -> float:
    """The processor time of some work, in turns of an empty loop that is measured before and after it."""
    before = _loop()
    began = time.process_time_ns()
    work()
    spent = time.process_time_ns() - began
    return spent * _LOOP * 2 / (before + _loop())


def _loop() -> int:
    """The processor time of the empty loop in ns."""
    began = time.process_time_ns()
    for _ in range(_LOOP):
        pass
    return time.process_time_ns() - began
