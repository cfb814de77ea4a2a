"""Processes that do nothing for a while."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from tests.acceptance.system import System


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stop processes and their children for a while; they stay there."""
    trees = [one for pid in pids for one in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    for one in trees:
        one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in trees:
            one.send_signal(signal.SIGCONT)


@contextmanager
def paused_workers(system: System) -> Iterator[None]:
    """Let no worker do anything meanwhile."""
    with frozen(*(system.pid("worker", number) for number in range(len(system.stack["processes"]["worker"])))):
        yield
