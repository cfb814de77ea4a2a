"""The process pool, with time limits that never hit an attempt that is already over.

Celery's main process measures the time limits. If it was blocked for longer than one, its timers fire before it reads
the results of its pool: it would interrupt, and so end, a process that is idle or works on another chunk.
"""

import select
from typing import Any

from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool


class _PatientPool(AsynPool):  # type: ignore[misc]  # it has no types
    """Celery's pool, but available results are read before a time limit is enforced."""

    def _on_soft_timeout(self, job: int, soft: float, hard: float, hub: Any) -> None:
        self._read_results()
        super()._on_soft_timeout(job, soft, hard, hub)

    def _on_hard_timeout(self, job: int) -> None:
        self._read_results()
        super()._on_hard_timeout(job)

    def _read_results(self) -> None:
        """Read all available messages; each process sends up to two per attempt: started, and ended."""
        for _ in range(2):
            watch = select.poll()
            for number in self._fileno_to_outq:
                watch.register(number, select.POLLIN)
            for number, _event in watch.poll(0):
                self.handle_result_event(number)


class PatientTaskPool(TaskPool):  # type: ignore[misc]  # it has no types
    """Celery's prefork pool that does not end processes for attempts that are over."""

    Pool = _PatientPool
