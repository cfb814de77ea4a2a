"""Health routes: livez, readyz, metrics."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter, Response

from carecase_worker.audit.log import AuditLog
from carecase_worker.errors import StoreUnavailable
from carecase_worker.intake.limits.single_flight import SingleFlight
from carecase_worker.settings.sections.webhooks import WebhookSettings
from carecase_worker.store.job import DRY_RUN
from carecase_worker.store.operations.throughput import Trouble
from carecase_worker.store.outbox import Outbox
from carecase_worker.store.queries.measures import JobMeasures
from carecase_worker.store.queries.workload import Workload
from carecase_worker.store.workers.presence import Presence
from carecase_worker.store.workers.standstill import Standstill
from carecase_worker.telemetry import HistogramSample, Metrics, MetricSample

_KEPT = timedelta(seconds=1)
"""Time for which readiness and metrics are cached: they need no credentials, and they query Redis."""
_AHEAD = "Seconds by which a host's clock is ahead of Redis's"
_UNTAKEN = "Seconds for which no worker has taken due work of a database; 0 if one does, or none is due"
_OVERDUE = "Seconds for which the oldest queued event has been due"
_UNDELIVERED = "Undelivered events that can be replayed"
_DELIVERED = "Total of delivered events"
_ATTEMPTS_FAILED = "Total of failed attempts to deliver an event"
_GIVEN_UP = "Total of undelivered events (all attempts failed)"
_DROPPED = "Undelivered events that can no longer be replayed"
_REHEARSED = "Total of items of dry runs, which were rolled back"
_AWAY = "1 while a database fails its chunks; the reason is the class of the last failure"


@dataclass(frozen=True, slots=True)
class MetricSamples:
    """Metrics read from the job store and the audit log at the time of a scrape."""

    workload: Workload
    presence: Presence
    standstill: Standstill
    databases: Sequence[str]
    host: str
    audit: AuditLog
    measures: JobMeasures

    def __call__(self) -> Iterator[MetricSample | HistogramSample]:
        """Yield the metrics."""
        failures = "Accesses that were refused because they could not be recorded"
        yield MetricSample("carecase_audit_records", "Number of the audit log's last record", self.audit.records, {})
        yield MetricSample("carecase_audit_failures", failures, self.audit.failures, {}, counter=True)
        try:
            yield from self._from_store()
        except StoreUnavailable:
            yield MetricSample("carecase_store_up", "Whether the job store takes writes", 0, {})

    def _from_store(self) -> Iterator[MetricSample | HistogramSample]:
        self.presence.try_write()
        workers, own = self.presence.workers(), self.presence.ahead()
        yield MetricSample("carecase_store_up", "Whether the job store takes writes", 1, {})
        yield MetricSample("carecase_workers", "Workers seen within the last ten seconds", workers.seen, {})
        if own is not None:
            yield MetricSample("carecase_clock_offset_seconds", _AHEAD, own.total_seconds(), _of("intake", self.host))
        for host, ahead in workers.by_host().items():
            yield MetricSample("carecase_clock_offset_seconds", _AHEAD, ahead.total_seconds(), _of("worker", host))
        for database in self.databases:
            labels = {"database": database}
            pace = self.workload.pace(database)
            (jobs, size), chunks = self.workload.backlog(database), self.workload.due_count(database)
            yield MetricSample("carecase_backlog_jobs", "Jobs that are not final", jobs, labels)
            yield MetricSample("carecase_backlog_bytes", "Compressed bytes of jobs that are not final", size, labels)
            yield MetricSample("carecase_open_items", "Accepted items without an outcome", pace.open_items, labels)
            yield MetricSample("carecase_items_per_second", "The rate at present", pace.now_per_second, labels)
            yield MetricSample("carecase_open_chunks", "Chunks that are open", chunks, labels)
            untaken = self.standstill.untaken(database) or timedelta(0)
            yield MetricSample("carecase_untaken_seconds", _UNTAKEN, untaken.total_seconds(), labels)
            for client, kept in self.workload.kept(database).items():
                whose = {**labels, "client": client}
                yield MetricSample("carecase_kept_jobs", "Jobs that are open or have a stored result", kept.jobs, whose)
                yield MetricSample("carecase_kept_bytes", "Bytes counted for them, and for uploads", kept.size, whose)
            trouble = self.workload.trouble(database)
            reason = {**labels, "reason": trouble.reason if trouble else ""}
            yield MetricSample("carecase_database_away", _AWAY, int(trouble is not None), reason)
        for (database, outcome), items in sorted(self.workload.stats().items()):
            labels = {"database": database}
            if outcome == DRY_RUN:
                yield MetricSample("carecase_dry_run_items", _REHEARSED, items, labels, counter=True)
            else:
                labels["outcome"] = outcome
                yield MetricSample("carecase_items", "Total of items by outcome", items, labels, counter=True)
        yield from self.measures()


@dataclass(frozen=True, slots=True)
class WebhookSamples:
    """Metrics of webhooks, read from the outbox at the time of a scrape."""

    outbox: Outbox
    webhooks: Mapping[str, WebhookSettings]

    def __call__(self) -> Iterator[MetricSample]:
        with suppress(StoreUnavailable):  # carecase_store_up tells
            for name, webhook in self.webhooks.items():
                labels = {"webhook": name, "client": webhook.client}
                state = self.outbox.state(name)
                overdue, is_failing = state.overdue.total_seconds(), int(state.failing_since is not None)
                is_disabled = int(state.disabled_at is not None)
                yield MetricSample(
                    "carecase_webhook_waiting", "Jobs with events to be delivered", state.waiting, labels
                )
                yield MetricSample("carecase_webhook_overdue_seconds", _OVERDUE, overdue, labels)
                yield MetricSample("carecase_webhook_failing", "Whether the last attempt failed", is_failing, labels)
                yield MetricSample("carecase_webhook_disabled", "Whether it answered 410", is_disabled, labels)
                yield MetricSample("carecase_webhook_undelivered", _UNDELIVERED, state.undelivered, labels)
                yield MetricSample("carecase_webhook_delivered", _DELIVERED, state.delivered, labels, counter=True)
                yield MetricSample(
                    "carecase_webhook_attempts_failed", _ATTEMPTS_FAILED, state.attempts_failed, labels, counter=True
                )
                yield MetricSample("carecase_webhook_given_up", _GIVEN_UP, state.given_up, labels, counter=True)
                yield MetricSample("carecase_webhook_dropped", _DROPPED, state.dropped, labels, counter=True)


def readiness(samples: MetricSamples) -> dict[str, object]:
    """Return the readiness document: whether batches are accepted and applied."""
    checks, databases = {"redis": "ok", "workers": "ok"}, _standing(None)
    workload, presence, standstill = samples.workload, samples.presence, samples.standstill
    try:
        presence.try_write()
        if not presence.workers().seen:
            checks["workers"] = "none was seen within ten seconds: start carecase worker"
        elif (age := standstill.everywhere(samples.databases)) is not None:
            checks["workers"] = f"none has taken any work for {age.total_seconds():.0f} s, though some is due"
        databases = _standing(map(workload.trouble, samples.databases))
    except StoreUnavailable as error:
        checks = {"redis": str(error), "workers": "not known"}
    is_ready = set(checks.values()) == {"ok"}
    return {"status": "ok" if is_ready else "not ready", "checks": checks, "databases": databases}


def _standing(troubles: Iterable[Trouble | None] | None) -> dict[str, object]:
    """Count the databases that are away, with the reasons; the count is None if it is unknown.

    Names are left out, since callers have no credentials here. A database that is away does not make the intake
    unready: batches for it are accepted, and applied once it is back.
    """
    if troubles is None:
        return {"away": None, "reasons": []}
    reasons = [trouble.reason for trouble in troubles if trouble]
    return {"away": len(reasons), "reasons": sorted(set(reasons))}


def _of(role: str, host: str) -> dict[str, str]:
    return {"role": role, "host": host}


def health_routes(samples: MetricSamples, metrics: Metrics) -> APIRouter:
    """Make the operators' routes, without credentials: they show no ids and use no thread of a client."""
    ready, scraped = SingleFlight(lambda: readiness(samples), _KEPT), SingleFlight(metrics.render, _KEPT)
    router = APIRouter(tags=["Health"])

    @router.get("/livez", operation_id="Livez", summary="Whether this process answers")
    async def livez() -> dict[str, str]:  # async, since all threads may be busy
        return {"status": "ok"}

    @router.get(
        "/readyz",
        operation_id="Readyz",
        summary="Whether batches are taken and applied",
    )
    async def readyz(response: Response) -> dict[str, object]:
        document = await ready()
        response.status_code = 200 if document["status"] == "ok" else 503
        return document

    @router.get("/metrics", operation_id="Metrics", summary="Metrics for Prometheus", response_class=Response)
    async def scrape() -> Response:
        return Response(await scraped(), media_type="text/plain; version=0.0.4")

    return router
