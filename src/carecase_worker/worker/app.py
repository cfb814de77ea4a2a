"""The worker's wiring, and the last error handler around its housekeeping."""

import os
import socket
import ssl
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from billiard import pool
from celery import Celery, signals

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.broker.reach import takes_connections
from carecase_worker.clock import SystemClock, SystemRandom
from carecase_worker.errors import StoreUnavailable, safe_error_fields
from carecase_worker.settings.model import Settings
from carecase_worker.store.lease_store import LeaseStore
from carecase_worker.store.outbox import Outbox
from carecase_worker.store.queries.workload import Workload
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.workers.clock_watch import ClockWatch
from carecase_worker.store.workers.intervals import Intervals
from carecase_worker.store.workers.presence import Presence
from carecase_worker.targets.startup import look_at
from carecase_worker.targets.tenants import tenants_of
from carecase_worker.telemetry import configure_logging, logger
from carecase_worker.tracing.tracer import require_installed
from carecase_worker.worker.consumer import NotificationConsumer, take_only_notifications
from carecase_worker.worker.health.monitor import Monitor
from carecase_worker.worker.health.server import HealthPages, serve_health
from carecase_worker.worker.health.signs import Signs
from carecase_worker.worker.housekeeping import Heartbeat, Purge, Repeated, Settle, Sweep
from carecase_worker.worker.metrics import WorkerMetrics, metrics_of
from carecase_worker.worker.processes.pool import PatientTaskPool
from carecase_worker.worker.processes.pool_process import PoolProcess
from carecase_worker.worker.processes.process_identity import is_dead, own_name
from carecase_worker.worker.schema_watch import SchemaWatch
from carecase_worker.worker.tasks import add_task
from carecase_worker.worker.webhooks.delivery import Delivery
from carecase_worker.worker.webhooks.sending import Sending, resolve_by_system

_log = logger("worker")
_HEARTBEAT_S, _DELIVERY_LOOK_S, _MONITOR_S = 1.0, 1.0, 1.0
_PURGE_LOOK_S, _SCHEMA_LOOK_S = 60, 60
_CONNECTS_WITHIN, _STOPS_WITHIN = timedelta(seconds=3), timedelta(seconds=5)
_RESULT_LOOKS = 20  # a tenth of a second each
_RECURSION_LIMIT = 5000
"""Recursion limit, five times that of an intake, so that a worker can parse whatever nesting an intake accepted."""


def create_worker(settings: Settings, signs: Signs, metrics: WorkerMetrics, schemas: SchemaWatch) -> Celery:
    """Return the Celery application that serves every configured database.

    Each pool process opens its own connections. The main process records its signs of life in `signs`.
    """
    take_only_notifications()
    app = celery_app(settings)
    app.conf.worker_consumer = partial(NotificationConsumer, signs=signs)
    process = PoolProcess(settings, metrics)
    add_task(app, process.apply)

    def set_up_logging(**_: Any) -> None:
        configure_logging(settings.log)

    def start_process(**_: Any) -> None:
        process.start()

    def end_process(**_: Any) -> None:
        process.tracer.close()

    housekeeping = _housekeeping(settings, signs, schemas)

    def start_housekeeping(**_: Any) -> None:
        for repeated in housekeeping:
            repeated.start()

    def stop_housekeeping(**_: Any) -> None:
        for repeated in housekeeping:
            repeated.stop()

    signals.setup_logging.connect(set_up_logging, weak=False)
    signals.worker_process_init.connect(start_process, weak=False)
    signals.worker_process_shutdown.connect(end_process, weak=False)
    signals.worker_ready.connect(start_housekeeping, weak=False)
    signals.worker_shutdown.connect(stop_housekeeping, weak=False)
    return app


def run_worker(settings: Settings) -> int:
    """Serve until stopped by a signal; return the exit status.

    Raises SettingsError for a Redis that could lose batches, for an unsupported database version, and if tracing is on
    but not installed.
    """
    configure_logging(settings.log)
    require_installed(settings.tracing)
    sys.setrecursionlimit(_RECURSION_LIMIT)
    # by default a pool process that stops waits 30 s for its results to be read; ours are lines for Flower
    pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = _RESULT_LOOKS
    client = StoreClient(settings.redis)
    client.check()
    client.close()
    for database, reason in look_at(tenants_of(settings.databases)).items():
        _log.warning("database as found at start", database=database, reason=reason)
    signs = Signs()
    schemas = SchemaWatch(tenants_of(settings.databases))
    monitor, metrics = _monitored(settings, signs, schemas)
    worker = create_worker(settings, signs, metrics, schemas).Worker(
        hostname=f"{socket.gethostname()}-{os.getpid()}",
        pool=PatientTaskPool,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    return monitor.exit_status or int(worker.exitcode or 0)


def monitor_of(settings: Settings, signs: Signs) -> Monitor:
    """Return the monitor of a worker with these settings."""
    ask = partial(takes_connections, settings.broker_url, _CONNECTS_WITHIN)
    grace = settings.worker.chunk_deadline + _STOPS_WITHIN
    # a worker with all its processes busy may ask the broker for nothing for as long as an attempt takes
    return Monitor(signs, max(settings.worker.stuck_after, grace), grace, ask)


def _monitored(settings: Settings, signs: Signs, schemas: SchemaWatch) -> tuple[Monitor, WorkerMetrics]:
    """Start the monitor and its HTTP server, before the pool and the broker connection. Raises SettingsError."""
    monitor = monitor_of(settings, signs)
    metrics = metrics_of(settings, schemas, monitor.samples)
    serve_health(HealthPages(monitor, metrics.exposition), settings.worker)
    Repeated(_guarded(monitor.once), lambda: None, _MONITOR_S).start()
    return monitor, metrics


def _housekeeping(settings: Settings, signs: Signs, schemas: SchemaWatch) -> tuple[Repeated, ...]:
    """Return the housekeeping threads, made in the main process and started there once the pool runs.

    Each has its own thread, so that a database that hangs does not stop the sweep, nor a broker the heartbeat.
    """
    client = StoreClient(settings.redis)
    leases, databases = LeaseStore(client, settings.jobs), tenants_of(settings.databases)
    heartbeat = Heartbeat(Presence(client, SystemClock()), ClockWatch(), own_name(), signs)
    sweep = Sweep(leases, Workload(client), Notifier(celery_app(settings)), tuple(databases), is_dead, signs)
    purge = Purge(Intervals(client), databases, settings.jobs.retention + settings.jobs.retry_deadline)
    settle = Settle(leases, databases, _guarded)
    every_sweep = settings.worker.sweep.total_seconds()
    deliveries = (_delivery(settings, client),) if settings.webhooks else ()
    return (
        Repeated(_guarded(heartbeat.once), _guarded(heartbeat.sign_off), _HEARTBEAT_S),
        Repeated(_guarded(settle.once), lambda: None, every_sweep),
        Repeated(_guarded(sweep.once), lambda: None, every_sweep),
        Repeated(_guarded(purge.once), lambda: None, _PURGE_LOOK_S),
        Repeated(_guarded(schemas.once), lambda: None, _SCHEMA_LOOK_S),
        *(Repeated(_guarded(delivery.once), lambda: None, _DELIVERY_LOOK_S) for delivery in deliveries),
    )


def _delivery(settings: Settings, client: StoreClient) -> Delivery:
    for name, webhook in settings.webhooks.items():
        if not webhook.signing_secrets:
            reason = f"webhooks.{name}.secrets is not set: its events wait"
            _log.warning("webhook not delivered to", client=webhook.client, reason=reason)
    return Delivery(
        outbox=Outbox(client),
        webhooks=settings.webhooks,
        settings=settings.delivery,
        root_path=settings.intake.root_path or "",
        sending=Sending(settings.delivery, resolve_by_system, ssl.create_default_context()),
        holder=own_name(),
        clock=SystemClock(),
        random=SystemRandom(),
        guarded=_guarded,
    )


def _guarded(step: Callable[[], None]) -> Callable[[], None]:
    """Wrap a step so that it never raises."""

    def guarded() -> None:
        try:
            step()
        except StoreUnavailable as error:
            _log.warning("housekeeping left for next time", reason=str(error))
        except Exception as error:  # noqa: BLE001  # one of the three edges: the sweep goes on
            _log.error("housekeeping left for next time", **safe_error_fields(error))

    return guarded
