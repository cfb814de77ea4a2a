"""The consumer of a worker's queues: it accepts notifications, and drops other messages without logging their content.

Other applications, other versions and people can put any message into the broker. In Celery and its Redis transport,
some messages would end the process or restart the consumer.
"""

import base64
import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from celery.worker.consumer import Consumer
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as redis_transport

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.celery_app import TASK
from carecase_worker.clock import monotonic
from carecase_worker.telemetry import logger
from carecase_worker.worker.health.signs import Signs

_log = logger("worker")
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""Errors of parsing a text that is not a message."""
_TURN_S = 1.0
_AGAIN_AFTER_S, _AGAIN_AT_MOST_S = 0.5, 3.0
"""Seconds between attempts to connect, increasing. Kombu's default would wait up to 30 s after the broker is back."""

_EMBEDDED = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))


def take_only_notifications() -> None:
    """Make Celery's connections to Redis drop malformed messages. Call it in a consuming process."""
    transport = f"{__name__}:NotificationTransport"
    TRANSPORT_ALIASES.update(redis=transport, rediss=transport)


class NotificationConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, restricted to notifications, of which it keeps only the ids.

    It records signs of life: that its loop runs, and that the broker responds.
    """

    def __init__(self, *arguments: Any, signs: Signs, **named: Any) -> None:
        self._signs = signs
        super().__init__(*arguments, **named)

    def register_with_event_loop(self, hub: Any) -> None:
        """Register the callbacks of the main loop, after each connect."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(_TURN_S, self._turn)

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once it is established, however long that takes."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=_AGAIN_AFTER_S,
            interval_step=_AGAIN_AFTER_S,
            interval_max=_AGAIN_AT_MOST_S,
        )
        return super().ensure_connected(conn)

    def _turn(self) -> None:
        transport = self.connection.transport
        self._signs.turned(monotonic(), transport.answered if isinstance(transport, NotificationTransport) else None)

    def create_task_handler(self, *arguments: Any, **named: Any) -> Callable[[Any], None]:
        """Return the callback for messages."""
        handle = super().create_task_handler(*arguments, **named)

        def on_message(message: Any) -> None:
            try:
                chunk, task_id = _notification(message)
            except _UNREADABLE:
                self.on_decode_error(message, None)
                return
            self._signs.heard = monotonic()
            message.headers, message.body = _headers(chunk, task_id), _body(chunk)
            handle(message)

        return on_message

    def on_decode_error(self, message: Any, exc: BaseException | None) -> None:
        """Drop a message."""
        del exc  # its text quotes the message
        _log.warning("message dropped", reason="it is not a notification")
        message.reject_log_error(logging.getLogger(__name__), self.connection_errors)


def _notification(message: Any) -> tuple[ChunkRef, str]:
    """Return the chunk and the task id of a message.

    Raises one of the `_UNREADABLE` errors if the message is not a notification.
    """
    if message.content_type != "application/json" or message.headers["task"] != TASK:
        raise ValueError
    (job_id, chunk_no), options, _ = json.loads(message.body)
    if options != {} or type(chunk_no) is not int or chunk_no < 0:
        raise ValueError
    return ChunkRef(str(UUID(job_id)), chunk_no), str(UUID(message.headers["id"]))


def _headers(chunk: ChunkRef, task_id: str) -> dict[str, Any]:
    return {
        "lang": "py",
        "task": TASK,
        "id": task_id,
        "root_id": task_id,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": repr((chunk.job_id, chunk.chunk_no)),
        "kwargsrepr": "{}",
        "ignore_result": True,
    }


def _body(chunk: ChunkRef) -> bytes:
    return json.dumps([[chunk.job_id, chunk.chunk_no], {}, _EMBEDDED]).encode()


def _is_envelope(message: object) -> bool:
    """Return whether kombu can build a message from a parsed value."""
    match message:
        case {
            "body": str(body),
            "headers": Mapping() as headers,
            "properties": {
                "body_encoding": "base64",
                "delivery_tag": str(),
                "delivery_info": {"exchange": str(), "routing_key": str()},
            },
        } if "compression" not in headers:  # kombu would unpack it, however large that is
            try:
                base64.b64decode(body, validate=True)
            except ValueError:
                return False
            return True
        case _:
            return False


class _NotificationChannel(redis_transport.Channel):
    """A channel that skips messages that cannot be parsed."""

    def _brpop_read(self, **options: Any) -> Any:
        given = self.connection.given
        self.connection.answered = monotonic()
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]  # kombu has no types
        except _UNREADABLE:
            if self.connection.given != given:
                raise  # the message had been parsed: this is another fault
            _log.warning("message dropped", reason="it is not JSON")
            return None


class NotificationTransport(redis_transport.Transport):
    """A Redis transport that records the broker's responses, and drops messages without an envelope."""

    Channel = _NotificationChannel
    given = 0
    answered = 0.0
    """Time of the broker's last response to a poll, in monotonic seconds. It responds to each within a second."""

    def _deliver(self, message: object, queue: str) -> None:
        self.given += 1
        if _is_envelope(message):
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]  # kombu has no types
        else:
            _log.warning("message dropped", reason="it is not an envelope")
