"""The Celery task: it reads the ids, calls the worker, returns one line of ids and counts for Flower."""

from collections.abc import Callable
from typing import Any, assert_never

from celery import Celery
from celery.exceptions import Retry

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.celery_app import TASK
from carecase_worker.worker.attempts.report import GaveUp, Released, Report, TaskState


def add_task(app: Celery, apply: Callable[[ChunkRef, object], Report]) -> Any:
    """Register the task that calls `apply` for each notification, with the name of its queue."""

    @app.task(name=TASK, bind=True, throws=(GaveUp,))  # type: ignore[untyped-decorator]
    def apply_chunk(task: Any, job_id: str, chunk_no: int) -> str:
        report = apply(ChunkRef(job_id, chunk_no), (task.request.delivery_info or {}).get("routing_key"))
        return line_of(report)

    return apply_chunk


def line_of(report: Report) -> str:
    """Return the line of a report. Raises Retry or GaveUp with it if an attempt failed.

    Celery then acknowledges the notification and sends the event of a retried or failed task. `Retry` publishes
    nothing: the sweep notifies again.
    """
    match report.state:
        case TaskState.SUCCEEDED:
            return report.line()
        case TaskState.RETRIED:
            raise Retry(exc=Released(report.line())) from None
        case TaskState.FAILED:
            raise GaveUp(report.line()) from None
        case never:
            assert_never(never)
