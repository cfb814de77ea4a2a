"""Audit records of requests: caller, address, and the number of cases concerned."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Request

from carecase_worker.audit.log import AuditLog
from carecase_worker.audit.records import Act, Event
from carecase_worker.errors import AuditUnavailable
from carecase_worker.grouping import Grouping
from carecase_worker.intake.access.authenticator import Caller
from carecase_worker.intake.http.middleware.access_log import add_log_fields, address_of

_MOST = 64


class Recorder:
    """An asyncio writer of records; concurrent ones share one call in a thread and one flush to disk."""

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        self._records = Grouping(self._append, _MOST)
        self._thread = CapacityLimiter(1)

    async def record(self, act: Act) -> None:
        """Append a record; it is on disk on return, unless audit.durability is relaxed. Raises AuditUnavailable."""
        if self.log.is_on:
            await self._records.one(act)

    async def _append(self, acts: Sequence[Act]) -> list[None]:
        await run_sync(self.log.record, *acts, limiter=self._thread)
        return [None] * len(acts)


@dataclass(frozen=True, slots=True)
class Audited:
    """A request whose access to cases is recorded before it happens."""

    recorder: Recorder
    request: Request
    caller: Caller

    def record(self, event: Event, database: str, job: str | None, count: int) -> None:
        """Record an access to `count` items; call it in a thread. Raises AuditUnavailable: then refuse the access."""
        self.recorder.log.record(self._act(event, database, job, count))

    async def recorded(self, event: Event, database: str, job: str | None, count: int) -> None:
        """Record an access as `record` does, from the event loop."""
        await self.recorder.record(self._act(event, database, job, count))

    def void(self, database: str, job: str) -> None:
        """Record that the request's last recorded access to a job did not take place. Failures are only logged."""
        with suppress(AuditUnavailable):
            self.recorder.log.record(self._act(Event.VOID, database, job, None))

    def _act(self, event: Event, database: str, job: str | None, count: int | None) -> Act:
        scope = self.request.scope
        if count is not None:
            add_log_fields(scope, items=count)
        caller, address = self.caller, address_of(scope)
        activity = scope.get("carecase.activity")
        return Act(event, caller.client, caller.subject, address, database, job, count, activity)
