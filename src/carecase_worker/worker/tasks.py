"""The Celery task: it reads the ids, calls the worker, returns nothing."""

from collections.abc import Callable
from typing import Any

from celery import Celery

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.celery_app import TASK


def add_task(app: Celery, apply: Callable[[ChunkRef], None]) -> Any:
    """Register the task that calls `apply` for each notification."""

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def apply_chunk(job_id: str, chunk_no: int) -> None:
        apply(ChunkRef(job_id, chunk_no))

    return apply_chunk
