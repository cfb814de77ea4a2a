"""The Celery task: it reads the ids, calls the worker, returns nothing."""

from collections.abc import Callable
from typing import Any

from celery import Celery

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.celery_app import TASK


def add_task(app: Celery, apply: Callable[[ChunkRef, object], None]) -> Any:
    """Register the task that calls `apply` for each notification, with the name of the queue that it came by."""

    @app.task(name=TASK, bind=True)  # type: ignore[untyped-decorator]
    def apply_chunk(task: Any, job_id: str, chunk_no: int) -> None:
        apply(ChunkRef(job_id, chunk_no), (task.request.delivery_info or {}).get("routing_key"))

    return apply_chunk
