"""Notifications: messages with chunk ids, in one queue per database."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from celery import Celery
from kombu.exceptions import OperationalError

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.celery_app import TASK, queue_name
from carecase_worker.errors import StoreUnavailable


class Notifier:
    """A sender of notifications for chunks; it also counts those still queued."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        transport = app.connection_for_write()
        self._transport_errors = (*transport.connection_errors, *transport.channel_errors)

    def notify(self, database: str, chunks: Iterable[ChunkRef]) -> None:
        """Notify for each chunk. Raises StoreUnavailable if the broker is unreachable; the sweep notifies later."""
        waiting = list(chunks)
        if not waiting:
            return
        with self._broker_errors(), self._app.producer_or_acquire() as producer:
            for chunk in waiting:
                self._app.send_task(
                    TASK,
                    (chunk.job_id, chunk.chunk_no),
                    queue=queue_name(database),
                    producer=producer,
                    retry=False,  # the sweep notifies for chunks that were missed
                    ignore_result=True,
                )

    def waiting(self, database: str) -> int:
        """Count the notifications in a database's queue."""
        with self._broker_errors(), self._app.producer_or_acquire() as producer:
            # not a passive one: for Redis, kombu would look for the queue without the broker's prefix, and find none
            return int(producer.channel.queue_declare(queue_name(database), durable=True).message_count)

    @contextmanager
    def _broker_errors(self) -> Iterator[None]:
        """Translate the broker's errors into StoreUnavailable; their types depend on the transport."""
        try:
            yield
        except (OperationalError, OSError, *self._transport_errors):
            raise StoreUnavailable("the broker cannot be reached; check that it runs, and broker.url") from None
