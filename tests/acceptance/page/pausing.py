"""Workers that do nothing for a while."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.acceptance.system import System


@contextmanager
def paused_workers(system: System) -> Iterator[None]:
    """Let no worker do anything meanwhile."""
    workers = range(len(system.stack["processes"]["worker"]))
    pids = [pid for number in workers for pid in (*system.pool(number), system.pid("worker", number))]
    for pid in pids:
        system.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            system.kill(pid, signal.SIGCONT)
