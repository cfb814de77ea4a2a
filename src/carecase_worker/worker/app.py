"""The worker's wiring, and the last error handlers around its task and its housekeeping."""

import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from billiard import pool
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery, signals

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import Seals
from carecase_worker.broker.celery_app import celery_app, database_of
from carecase_worker.broker.notifier import Notifier
from carecase_worker.clock import SystemClock, SystemRandom, monotonic, system_sleep, wall_ns
from carecase_worker.errors import FailureKind, StoreUnavailable, safe_error_fields
from carecase_worker.settings.model import DATABASES_PART, Settings
from carecase_worker.store.claims import Claimed, Claims
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.open_jobs import OpenJobs
from carecase_worker.store.workers.clock_watch import ClockWatch
from carecase_worker.store.workers.presence import Presence
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.registry import Targets
from carecase_worker.targets.startup import look_at
from carecase_worker.targets.tenants import tenants_of
from carecase_worker.telemetry import configure_logging, logger
from carecase_worker.tracing.tracer import NO_TRACER, Tracer, require_installed, tracer_of
from carecase_worker.worker.attempt import Applied, Applier, trace_fields
from carecase_worker.worker.consumer import NotificationConsumer, take_only_notifications
from carecase_worker.worker.group import Member, fail, members_of, run_group
from carecase_worker.worker.housekeeping import Purge, Repeated, Settle, Sweep
from carecase_worker.worker.inherited import let_go_of_sockets
from carecase_worker.worker.placing import Placer
from carecase_worker.worker.process_identity import is_dead, own_name
from carecase_worker.worker.tasks import add_task

_log = logger("worker")
LogFields = dict[str, str | int]

_PURGE_LOOK_S = 60
_RESULT_LOOKS = 20  # a tenth of a second each
_RECURSION_LIMIT = 5000
"""Five times that of an intake: a worker can parse what any intake let pass, however deep it is nested."""
_TIME_SLICE_S, _LEAST_TIME_SLICE_S = 0.25, 0.05
"""Seconds for which one notification may keep a process, which spares most notifications.

Jobs and databases with work share them, so that a small batch waits no longer the more there are. No share is below the
least: shorter ones would cost too much.
"""


def create_worker(settings: Settings) -> Celery:
    """Return the Celery application that serves every configured database.

    Each pool process opens connections of its own.
    """
    take_only_notifications()
    app = celery_app(settings)
    app.conf.worker_consumer = NotificationConsumer
    process = _Process(settings)
    add_task(app, process.apply)

    def set_up_logging(**_: Any) -> None:
        configure_logging(settings.log)

    def start_process(**_: Any) -> None:
        process.start()

    def end_process(**_: Any) -> None:
        process.tracer.close()

    housekeeping = _housekeeping(settings)

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
    """Serve until told to stop; return the exit status.

    Raises SettingsError for a Redis that could lose batches, for a database of a version that is not supported, and if
    tracing needs what is not installed.
    """
    configure_logging(settings.log)
    require_installed(settings.tracing)
    sys.setrecursionlimit(_RECURSION_LIMIT)
    # by default a pool process that stops waits 30 s for its results to be read; ours return nothing
    pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = _RESULT_LOOKS
    store = JobStore(settings.redis, settings.jobs)
    store.check()
    store.close()
    for database, reason in look_at(tenants_of(settings.databases)).items():
        _log.warning("database as found at start", database=database, reason=reason)
    worker = create_worker(settings).Worker(
        hostname=f"{socket.gethostname()}-{os.getpid()}",
        pool="prefork",
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _housekeeping(settings: Settings) -> tuple[Repeated, ...]:
    """Return the housekeeping threads, made in the main process and started there once the pool runs.

    Each is a thread of its own: a ledger that hangs does not stop the sweep.
    """
    store, presence = JobStore(settings.redis, settings.jobs), Presence(settings.redis, SystemClock())
    notifier, databases = Notifier(celery_app(settings)), tenants_of(settings.databases)
    sweep = Sweep(store, notifier, presence, ClockWatch(), tuple(databases), worker=own_name(), is_dead=is_dead)
    purge = Purge(store, databases, settings.jobs.retention + settings.jobs.retry_deadline)
    settle = Settle(store, databases, _guarded)
    return (
        Repeated(_guarded(settle.once), lambda: None, settings.worker.sweep.total_seconds()),
        Repeated(_guarded(sweep.once), _guarded(sweep.sign_off), settings.worker.sweep.total_seconds()),
        Repeated(_guarded(purge.once), lambda: None, _PURGE_LOOK_S),
    )


def _guarded(step: Callable[[], None]) -> Callable[[], None]:
    """Return the step as one that never raises."""

    def guarded() -> None:
        try:
            step()
        except StoreUnavailable as error:
            _log.warning("housekeeping left for next time", reason=str(error))
        except Exception as error:  # noqa: BLE001  # one of the three edges: the sweep goes on
            _log.error("housekeeping left for next time", **safe_error_fields(error))

    return guarded


@dataclass
class _Process:
    """The connections of one pool process, and its handling of notifications."""

    settings: Settings
    applier: Applier | None = None
    placer: Placer | None = None
    notifier: Notifier | None = None
    tracer: Tracer = NO_TRACER

    def start(self) -> None:
        """Open this process's own connections; those from before the fork are the parent's."""
        let_go_of_sockets()
        settings = self.settings
        self.notifier = Notifier(celery_app(settings))
        seals = Seals(settings.encryption.by_id, settings.encryption.required)
        self.applier = Applier(
            store=JobStore(settings.redis, settings.jobs),
            targets=Targets(tenants_of(settings.databases), DATABASES_PART * settings.worker.chunk_deadline),
            random=SystemRandom(),
            sleep=system_sleep,
            holder=own_name(),
            is_dead=is_dead,
            retry_deadline=settings.jobs.retry_deadline,
            seals=seals,
        )
        self.tracer = tracer_of(settings.tracing, "worker")
        self.placer = Placer(self.applier.store, OpenJobs(settings.redis, seals), own_name())

    def apply(self, chunk: ChunkRef, queue: object) -> None:
        """Handle a notification: apply its chunk, then what is ready or opened, for a time slice; notify for the rest.

        It never raises: the sweep notifies again for a chunk that failed.
        """
        if self.applier is None or self.notifier is None:
            raise RuntimeError("worker_process_init has not run")
        applier, notifier, began, began_ns = self.applier, self.notifier, monotonic(), wall_ns()
        database = database_of(queue, self.settings.databases)
        told = _fields([chunk], database)
        first = partial(self._claimed_and_applied, applier, chunk, told, began_ns)
        applied = self._guarded(notifier, told, first)
        while applied.following:
            claims = applied.following
            go_on = monotonic() - began < max(_LEAST_TIME_SLICE_S, _TIME_SLICE_S / applied.shares)
            told = _fields([ref for ref, _ in claims], database)
            applied = self._guarded(notifier, told, partial(self._attempt, applier, claims, told, go_on))

    def _guarded(self, notifier: Notifier, told: LogFields, attempt: Callable[[], Applied]) -> Applied:
        """Make an attempt at chunks, log it with the fields `told`, and notify for what it opens."""
        began = monotonic()
        applied = Applied("")
        try:
            applied = attempt()
            notifier.notify(applied.database, applied.to_notify)
        except StoreUnavailable as error:
            _log.warning("chunk left for the sweep", reason=str(error), **told)
        except Exception as error:  # noqa: BLE001  # one of the three edges: a pool process goes on
            _log.error("chunk left for the sweep", **safe_error_fields(error), **told)
        else:
            if applied.reason:
                told["reason"] = applied.reason
            duration_ms = round((monotonic() - began) * 1000, 1)
            _log.info("chunk", verdict=applied.verdict, items=applied.items, duration_ms=duration_ms, **told)
        return applied

    def _claimed_and_applied(self, applier: Applier, chunk: ChunkRef, told: LogFields, began_ns: int) -> Applied:
        return self._attempt(applier, applier.claim(chunk), told, True, began_ns)

    def _attempt(
        self, applier: Applier, claims: Claims, told: LogFields, go_on: bool, began_ns: int | None = None
    ) -> Applied:
        """Apply claimed chunks, in a span that began with the claim if that was made for them; add to `told`."""
        first = claims[0][1]
        if first.verdict is Claimed.UNPLACED and self.placer is not None:
            return self.placer.place(first.database)
        members = members_of(claims)
        if not members:
            return Applied(first.verdict.value)
        lease = members[0].lease
        told |= _member_fields(members)
        with self.tracer.attempt([member.lease.traceparent for member in members], began_ns) as span:
            span.add(**(told if len(members) == 1 else {"database": lease.database}))
            if began_ns is not None:
                span.past("claim", began_ns)
            applied = self._applied(replace(applier, span=span), members, go_on)
            span.add(verdict=applied.verdict, items=applied.items)
            if applied.reason:
                span.fail(applied.reason)
            return applied

    def _applied(self, applier: Applier, members: Sequence[Member], go_on: bool) -> Applied:
        """Apply chunks. Raises StoreUnavailable."""
        try:
            return run_group(applier, members, go_on)
        except StoreUnavailable:
            raise
        except SoftTimeLimitExceeded:  # nothing else takes that long: the database hangs
            return fail(applier, members, FailureKind.AWAY, Causes.TIMEOUT.value)
        except Exception as error:  # noqa: BLE001  # the same edge, while the chunks can still be released
            _log.error("chunk failed", **_member_fields(members), **safe_error_fields(error))
            return fail(applier, members, FailureKind.UNEXPECTED)


def _member_fields(members: Sequence[Member]) -> LogFields:
    """Return the log fields of leased chunks: as `_fields`, and the trace of the first one."""
    first = members[0].lease
    return _fields([member.lease.chunk for member in members], first.database) | trace_fields(first)


def _fields(chunks: Sequence[ChunkRef], database: str) -> LogFields:
    """Return the log fields of some chunks: their database, the ids of the first one, their number if it is not one."""
    first: LogFields = {"job_id": chunks[0].job_id, "chunk_no": chunks[0].chunk_no}
    count: LogFields = {"count": len(chunks)} if len(chunks) > 1 else {}
    return first | count | ({"database": database} if database else {})
