"""livez, readyz, metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter, Response

from carecase_worker.clock import Clock
from carecase_worker.errors import StoreUnavailable
from carecase_worker.jobs.store import JobStore
from carecase_worker.telemetry import Metrics, Reading

_WORKER_SEEN_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Readings:
    """What the job store tells at the time of a scrape."""

    store: JobStore
    databases: Sequence[str]
    clock: Clock

    def __call__(self) -> Iterator[Reading]:
        try:
            yield from self._from_store()
        except StoreUnavailable:
            yield Reading("carecase_store_up", "Whether the job store answers", 0, {})

    def _from_store(self) -> Iterator[Reading]:
        workers = self.store.workers_since(self.clock.now() - _WORKER_SEEN_WITHIN)
        yield Reading("carecase_store_up", "Whether the job store answers", 1, {})
        yield Reading("carecase_workers", "Workers seen within the last ten seconds", workers, {})
        for database in self.databases:
            labels = {"database": database}
            pace = self.store.pace(database)
            jobs, size = self.store.backlog(database)
            yield Reading("carecase_backlog_jobs", "Jobs that are not final", jobs, labels)
            yield Reading("carecase_backlog_bytes", "Compressed bytes of jobs that are not final", size, labels)
            yield Reading("carecase_open_items", "Accepted items without an outcome", pace.open_items, labels)
            yield Reading("carecase_items_per_second", "The rate measured last", pace.items_per_second, labels)
            yield Reading("carecase_open_chunks", "Chunks that are open", self.store.due_count(database), labels)
        for (database, outcome), items in sorted(self.store.stats().items()):
            labels = {"database": database, "outcome": outcome}
            yield Reading("carecase_items", "Items by outcome, ever", items, labels, counter=True)


def health_routes(store: JobStore, metrics: Metrics, clock: Clock) -> APIRouter:
    """The routes for those who run the service; they take no credentials and tell no ids."""
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
        checks = {"redis": "ok", "workers": "ok"}
        try:
            if not store.workers_since(clock.now() - _WORKER_SEEN_WITHIN):
                checks["workers"] = "none was seen within ten seconds: start carecase worker"
        except StoreUnavailable as error:
            checks = {"redis": str(error), "workers": "not known"}
        ready = set(checks.values()) == {"ok"}
        response.status_code = 200 if ready else 503
        return {"status": "ok" if ready else "not ready", "checks": checks}

    @router.get("/metrics", operation_id="Metrics", summary="Metrics for Prometheus", response_class=Response)
    def scrape() -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")

    return router
