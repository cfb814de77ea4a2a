"""Celery's application: its settings, and the queue of each database. Each deviation from a default says why."""

from collections.abc import Container
from datetime import timedelta

from celery import Celery
from kombu.entity import Queue

from carecase_worker.settings.model import Settings
from carecase_worker.settings.tls import redis_tls_options

TASK = "carecase.apply_chunk"
_QUEUE_PREFIX = "cases."
_UNACKED_FOR_S = 300
_STARTS_WITHIN_S = 60


def queue_name(database: str) -> str:
    """Return the queue of a database's notifications."""
    return f"{_QUEUE_PREFIX}{database}"


def database_of(queue: object, known: Container[str]) -> str:
    """Return the database of a queue; empty if it is not a known one, since a message can name any queue."""
    database = str(queue).removeprefix(_QUEUE_PREFIX)
    return database if database in known else ""


def celery_app(settings: Settings, broker_url: str | None = None) -> Celery:
    """Return a Celery application for the configured broker; the worker adds the task."""
    names = [queue_name(database) for database in settings.databases]
    app = Celery("carecase", broker=broker_url or settings.broker_url, set_as_current=False)
    deadline = settings.worker.chunk_deadline
    app.conf.update(
        task_queues=[Queue(name, routing_key=name) for name in names],  # type: ignore[no-untyped-call]
        task_create_missing_queues=False,
        task_default_queue=queue_name("none"),
        # a notification has no result; the ledger tells what was done
        result_backend=None,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_serializer="json",
        accept_content=["json"],
        # a notification is taken off only when its chunk is done with, and comes again if its process dies
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.worker.concurrency,
        # by default a pool process that takes four seconds to start is killed: on a busy machine, one after the other
        worker_proc_alive_timeout=_STARTS_WITHIN_S,
        task_soft_time_limit=deadline.total_seconds(),
        task_time_limit=(deadline + timedelta(seconds=3)).total_seconds(),
        worker_soft_shutdown_timeout=(deadline + timedelta(seconds=1)).total_seconds(),
        worker_enable_soft_shutdown_on_idle=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_connection_timeout=3,
        worker_send_task_events=True,
        # with it, anybody who can write to the broker could stop every worker
        worker_enable_remote_control=False,
        task_send_sent_event=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        timezone="UTC",
        broker_transport_options=_transport_options(settings),
    )
    if (broker_url or settings.broker_url).startswith("rediss:"):
        app.conf.broker_use_ssl = redis_tls_options(settings.redis)
    return app


def _transport_options(settings: Settings) -> dict[str, object]:
    if not settings.broker_url.startswith("redis"):
        return {}
    return {
        "global_keyprefix": settings.broker.prefix,
        "visibility_timeout": _UNACKED_FOR_S,
        "unacked_mutex_expire": 10,
        "socket_timeout": 5,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "max_retries": 1,
    }
