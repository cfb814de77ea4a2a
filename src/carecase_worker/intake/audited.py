"""Requests to records of the audit log: who asked, from where, for what."""

from contextlib import suppress
from dataclasses import dataclass

from fastapi import Request

from carecase_worker.audit.log import AuditLog
from carecase_worker.audit.records import Act, Event
from carecase_worker.errors import AuditUnavailable
from carecase_worker.intake.auth import Caller
from carecase_worker.intake.requests import address_of, note


@dataclass(frozen=True, slots=True)
class Audited:
    """A request of a caller whose access to cases is recorded before it is given."""

    log: AuditLog
    request: Request
    caller: Caller

    def record(self, event: Event, database: str, job: str | None, count: int) -> None:
        """Record an access to so many items. Raises AuditUnavailable, and then it must not be given."""
        note(self.request.scope, items=count)
        self._append(event, database, job, count)

    def void(self, database: str, job: str) -> None:
        """Record that what was recorded last of a job came to nothing. If it cannot be, the log says so."""
        with suppress(AuditUnavailable):
            self._append(Event.VOID, database, job, None)

    def _append(self, event: Event, database: str, job: str | None, count: int | None) -> None:
        scope = self.request.scope
        self.log.record(
            Act(
                event,
                self.caller.client,
                self.caller.subject,
                address_of(scope),
                database,
                job,
                count,
                scope.get("carecase.activity"),
            )
        )
