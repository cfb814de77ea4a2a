"""A pool process's part of a worker: it applies the chunks of a job, and prints what was called, by when first.

It is a program of its own, since a pool process closes every socket that it did not open itself.
"""

import sys

from celery import signals
from tests.tracing import first_calls

from carecase_worker.broker.celery_app import TASK
from carecase_worker.settings.loading import load
from carecase_worker.telemetry import configure_logging
from carecase_worker.worker.app import create_worker
from carecase_worker.worker.health.signs import Signs
from carecase_worker.worker.metrics import metrics_of
from carecase_worker.worker.schema_watch import SchemaWatch


def main(job_id: str, chunks: int) -> None:
    """Answer a notification of each chunk."""
    settings = load()
    configure_logging(settings.log)
    app = create_worker(settings, Signs(), metrics_of(settings), SchemaWatch({}))
    signals.worker_process_init.send(sender=None)
    with first_calls() as calls:
        for number in range(chunks):
            app.tasks[TASK](job_id, number)
    print("\n".join(calls))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
