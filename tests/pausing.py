"""Processes that are stopped for a while (SIGSTOP), and then continue."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
from tests.acceptance.system import System


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stop processes and all of their children for the block; one that ends meanwhile is ignored."""
    stopped: list[psutil.Process] = []
    try:
        for pid in pids:
            _stop(psutil.Process(pid), stopped)
        yield
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _stop(process: psutil.Process, stopped: list[psutil.Process]) -> None:
    """Stop a process before its children, so that it starts no other meanwhile."""
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        stopped.append(process)
        for child in process.children():
            _stop(child, stopped)


@contextmanager
def paused_workers(system: System) -> Iterator[None]:
    """Let no worker do anything meanwhile."""
    with frozen(*(system.pid("worker", number) for number in range(len(system.stack["processes"]["worker"])))):
        yield
