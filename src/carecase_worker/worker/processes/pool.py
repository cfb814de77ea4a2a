"""The pool of processes, which ends no attempt that has already ended.

Celery's main process measures the time limits. If it was held up for longer than one, its timers fire before it reads
what its pool has done meanwhile: it would interrupt, and so end, a process that is idle, or has begun another chunk.
"""

import select
from typing import Any

from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool


class _PatientPool(AsynPool):  # type: ignore[misc]  # it has no types
    """Celery's pool, but the results that have come are read before an attempt is held to its time limit."""

    def _on_soft_timeout(self, job: int, soft: float, hard: float, hub: Any) -> None:
        self._read_results()
        super()._on_soft_timeout(job, soft, hard, hub)

    def _on_hard_timeout(self, job: int) -> None:
        self._read_results()
        super()._on_hard_timeout(job)

    def _read_results(self) -> None:
        """Read what can be read at once; each process sends up to two messages for an attempt: begun, and ended."""
        for _ in range(2):
            watch = select.poll()
            for number in self._fileno_to_outq:
                watch.register(number, select.POLLIN)
            for number, _event in watch.poll(0):
                self.handle_result_event(number)


class PatientTaskPool(TaskPool):  # type: ignore[misc]  # it has no types
    """Celery's prefork pool with processes that are not ended for an attempt that is over."""

    Pool = _PatientPool
