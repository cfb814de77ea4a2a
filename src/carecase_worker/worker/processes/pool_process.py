"""One pool process: its connections, its attempts at chunks, and the last error handlers around them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from billiard.exceptions import SoftTimeLimitExceeded
from billiard.process import current_process

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.encryption import Seals
from carecase_worker.broker.celery_app import celery_app, database_of
from carecase_worker.broker.notifier import Notifier
from carecase_worker.clock import NEVER, SystemRandom, monotonic, system_sleep, wall_ns
from carecase_worker.errors import FailureKind, StoreUnavailable, safe_error_fields
from carecase_worker.settings.model import DATABASES_PART, Settings
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.lease_store import LeaseStore
from carecase_worker.store.operations.claims import Claimed, Claims
from carecase_worker.store.queries.open_jobs import OpenJobs
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.registry import Targets
from carecase_worker.targets.tenants import tenants_of
from carecase_worker.telemetry import logger
from carecase_worker.tracing.tracer import NO_TRACER, Tracer, tracer_of
from carecase_worker.worker.attempts.attempt import Applied, Applier, trace_fields
from carecase_worker.worker.attempts.group import Member, fail, members_of, run_group
from carecase_worker.worker.attempts.placing import Placer
from carecase_worker.worker.attempts.report import Report
from carecase_worker.worker.metrics import WorkerMetrics
from carecase_worker.worker.processes.inherited import let_go_of_sockets
from carecase_worker.worker.processes.process_identity import is_dead, own_name

_log = logger("worker")
LogFields = dict[str, str | int]

_NO_STORE = "no-store"
_TIME_SLICE_S, _LEAST_TIME_SLICE_S = 0.25, 0.05
"""Seconds that a process may work after one notification, so that most chunks need none.

Jobs and databases with work share this time, so that a small batch does not wait longer the more there are. A share has
a minimum, below which the overhead would be too high.
"""
_ISOLATING_PART = 1 / 2
"""The fraction of an attempt's time in which poison items are searched for."""
_CLAIMING_PART = 1 - DATABASES_PART
"""The fraction of an attempt's time in which the next work is claimed: what is left is enough for its statements."""


@dataclass
class PoolProcess:
    """The connections of one pool process, and its handling of notifications."""

    settings: Settings
    metrics: WorkerMetrics
    applier: Applier | None = None
    placer: Placer | None = None
    notifier: Notifier | None = None
    tracer: Tracer = NO_TRACER

    def start(self) -> None:
        """Open this process's own connections; those from before the fork belong to the parent."""
        let_go_of_sockets()
        settings = self.settings
        self.notifier = Notifier(celery_app(settings))
        seals = Seals(settings.encryption.by_id, settings.encryption.required)
        meter = self.metrics.meter(getattr(current_process(), "index", 0))
        client = StoreClient(settings.redis, meter.round_trip)
        self.applier = Applier(
            leases=LeaseStore(client, settings.jobs),
            jobs=JobStore(client, settings.jobs),
            targets=Targets(tenants_of(settings.databases), DATABASES_PART * settings.worker.chunk_deadline),
            random=SystemRandom(),
            sleep=system_sleep,
            holder=own_name(),
            is_dead=is_dead,
            retry_deadline=settings.jobs.retry_deadline,
            isolates_for=_ISOLATING_PART * settings.worker.chunk_deadline,
            seals=seals,
            meter=meter,
        )
        self.tracer = tracer_of(settings.tracing, "worker", meter.lose_spans)
        self.placer = Placer(self.applier.leases, OpenJobs(client, seals), own_name())

    def apply(self, chunk: ChunkRef, queue: object) -> Report:
        """Handle a notification: apply its chunk, then ready or opened ones, for a time slice; notify for the rest.

        Never raises: the sweep notifies again for a chunk that failed.
        """
        if self.applier is None or self.notifier is None:
            raise RuntimeError("worker_process_init has not run")
        applier, notifier, began, began_ns = self.applier, self.notifier, self.applier.seconds(), wall_ns()
        applier.report.begin()
        database = database_of(queue, self.settings.databases)
        fields = _fields([chunk], database)
        claims_until = began + _CLAIMING_PART * self.settings.worker.chunk_deadline.total_seconds()
        first = partial(self._claimed_and_applied, applier, chunk, fields, claims_until, began_ns)
        applied = self._guarded(notifier, [chunk], fields, first)
        while applied.following:
            claims = applied.following
            if applier.seconds() - began >= max(_LEAST_TIME_SLICE_S, _TIME_SLICE_S / applied.shares):
                claims_until = NEVER
            chunks = [ref for ref, _ in claims]
            fields = _fields(chunks, database)
            following = partial(self._attempt, applier, claims, fields, claims_until)
            applied = self._guarded(notifier, chunks, fields, following)
        return applier.report

    def _guarded(
        self, notifier: Notifier, chunks: Sequence[ChunkRef], fields: LogFields, attempt: Callable[[], Applied]
    ) -> Applied:
        """Make an attempt at chunks, log it with `fields`, and notify for the chunks that it opens."""
        began, report = monotonic(), self.applier.report if self.applier else Report()
        applied = Applied("")
        try:
            applied = attempt()
            notifier.notify(applied.database, applied.to_notify)
        except StoreUnavailable as error:
            if not applied.verdict:
                report.release("", (chunk.job_id for chunk in chunks), _NO_STORE)
            _log.warning("chunk left for the sweep", reason=str(error), **fields)
        except Exception as error:  # noqa: BLE001  # one of the three edges: a pool process goes on
            report.release("", (chunk.job_id for chunk in chunks), FailureKind.UNEXPECTED.value)
            _log.error("chunk left for the sweep", **safe_error_fields(error), **fields)
        else:
            report.verdict = applied.verdict
            if applied.reason:
                fields["reason"] = applied.reason
            duration_ms = round((monotonic() - began) * 1000, 1)
            _log.info("chunk", verdict=applied.verdict, items=applied.items, duration_ms=duration_ms, **fields)
        return applied

    def _claimed_and_applied(
        self, applier: Applier, chunk: ChunkRef, fields: LogFields, claims_until: float, began_ns: int
    ) -> Applied:
        return self._attempt(applier, applier.claim(chunk), fields, claims_until, began_ns)

    def _attempt(
        self, applier: Applier, claims: Claims, fields: LogFields, claims_until: float, began_ns: int | None = None
    ) -> Applied:
        """Apply claimed chunks, in a span that began with their claim if there was one; add to `fields`."""
        first = claims[0][1]
        if first.verdict is Claimed.UNPLACED and self.placer is not None:
            return self.placer.place(first.database, claims_until)
        members = members_of(claims)
        if not members:
            return Applied(first.verdict.value)
        lease = members[0].lease
        fields |= _member_fields(members)
        with self.tracer.attempt([member.lease.traceparent for member in members], began_ns) as span:
            span.add(**(fields if len(members) == 1 else {"database": lease.database}))
            if began_ns is not None:
                span.past("claim", began_ns)
            applied = self._applied(replace(applier, span=span), members, claims_until)
            span.add(verdict=applied.verdict, items=applied.items)
            if applied.reason:
                span.fail(applied.reason)
            return applied

    def _applied(self, applier: Applier, members: Sequence[Member], claims_until: float) -> Applied:
        """Apply chunks. Raises StoreUnavailable."""
        try:
            return run_group(applier, members, claims_until)
        except StoreUnavailable:
            raise
        except SoftTimeLimitExceeded:  # nothing else takes that long: the database hangs
            return fail(applier, members, FailureKind.AWAY, Causes.TIMEOUT.value)
        except Exception as error:  # noqa: BLE001  # the same edge, while the chunks can still be released
            _log.error("chunk failed", **_member_fields(members), **safe_error_fields(error))
            return fail(applier, members, FailureKind.UNEXPECTED)


def _member_fields(members: Sequence[Member]) -> LogFields:
    """Return the log fields of leased chunks: those of `_fields`, the dry run mark, and the trace of the first one."""
    first = members[0].lease
    mode: LogFields = {"dry_run": True} if first.dry_run else {}
    return _fields([member.lease.chunk for member in members], first.database) | mode | trace_fields(first)


def _fields(chunks: Sequence[ChunkRef], database: str) -> LogFields:
    """Return the log fields of chunks: their database, the ids of the first one, and their number if several."""
    first: LogFields = {"job_id": chunks[0].job_id, "chunk_no": chunks[0].chunk_no}
    count: LogFields = {"count": len(chunks)} if len(chunks) > 1 else {}
    return first | count | ({"database": database} if database else {})
