"""livez, readyz, metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Response

from carecase_worker.errors import StoreUnavailable
from carecase_worker.jobs.presence import Presence
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Trouble
from carecase_worker.telemetry import Metrics, Reading

_AHEAD = "Seconds by which a host's clock is ahead of Redis's"
_AWAY = "1 while a database fails its chunks; the reason is the class of the last failure"


@dataclass(frozen=True, slots=True)
class Readings:
    """What the job store tells at the time of a scrape."""

    store: JobStore
    presence: Presence
    databases: Sequence[str]
    host: str

    def __call__(self) -> Iterator[Reading]:
        try:
            yield from self._from_store()
        except StoreUnavailable:
            yield Reading("carecase_store_up", "Whether the job store takes writes", 0, {})

    def _from_store(self) -> Iterator[Reading]:
        self.presence.try_write()
        workers, own = self.presence.workers(), self.presence.ahead()
        yield Reading("carecase_store_up", "Whether the job store takes writes", 1, {})
        yield Reading("carecase_workers", "Workers seen within the last ten seconds", workers.seen, {})
        if own is not None:
            yield Reading("carecase_clock_offset_seconds", _AHEAD, own.total_seconds(), _of("intake", self.host))
        for host, ahead in workers.by_host().items():
            yield Reading("carecase_clock_offset_seconds", _AHEAD, ahead.total_seconds(), _of("worker", host))
        for database in self.databases:
            labels = {"database": database}
            pace = self.store.pace(database)
            jobs, size = self.store.backlog(database)
            yield Reading("carecase_backlog_jobs", "Jobs that are not final", jobs, labels)
            yield Reading("carecase_backlog_bytes", "Compressed bytes of jobs that are not final", size, labels)
            yield Reading("carecase_open_items", "Accepted items without an outcome", pace.open_items, labels)
            yield Reading("carecase_items_per_second", "The rate at present", pace.now_per_second, labels)
            yield Reading("carecase_open_chunks", "Chunks that are open", self.store.due_count(database), labels)
            trouble = self.store.trouble(database)
            reason = {**labels, "reason": trouble.reason if trouble else ""}
            yield Reading("carecase_database_away", _AWAY, int(trouble is not None), reason)
        for (database, outcome), items in sorted(self.store.stats().items()):
            labels = {"database": database, "outcome": outcome}
            yield Reading("carecase_items", "Items by outcome, ever", items, labels, counter=True)


def _standing(trouble: Trouble | None) -> str:
    """Where a database stands. It makes no intake unready: batches for it are taken, and applied once it is back."""
    if trouble is None:
        return "ok"
    return f"{trouble.reason} for {trouble.lasting.total_seconds():.0f} s: its jobs wait until it answers"


def _of(role: str, host: str) -> dict[str, str]:
    return {"role": role, "host": host}


def health_routes(readings: Readings, metrics: Metrics) -> APIRouter:
    """The routes for those who run the service; they take no credentials and tell no ids."""
    store, presence = readings.store, readings.presence
    router = APIRouter(tags=["Health"])

    @router.get("/livez", operation_id="Livez", summary="Whether this process answers")
    def livez() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz",
        operation_id="Readyz",
        summary="Whether batches are taken and applied",
    )
    def readyz(response: Response) -> dict[str, object]:
        checks, databases = {"redis": "ok", "workers": "ok"}, {}
        try:
            presence.try_write()
            if not presence.workers().seen:
                checks["workers"] = "none was seen within ten seconds: start carecase worker"
            databases = {name: _standing(store.trouble(name)) for name in readings.databases}
        except StoreUnavailable as error:
            checks = {"redis": str(error), "workers": "not known"}
        ready = set(checks.values()) == {"ok"}
        response.status_code = 200 if ready else 503
        return {"status": "ok" if ready else "not ready", "checks": checks, "databases": databases}

    @router.get("/metrics", operation_id="Metrics", summary="Metrics for Prometheus", response_class=Response)
    def scrape() -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")

    return router
