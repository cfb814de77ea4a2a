"""Routes of event streams: of one job, and of all jobs of the caller."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from carecase_worker.audit.records import Event
from carecase_worker.intake.access.access_control import AccessControl
from carecase_worker.intake.access.audit_trail import Audited
from carecase_worker.intake.access.authenticator import Caller
from carecase_worker.intake.http.middleware.access_log import add_log_fields, address_of, until_answered
from carecase_worker.intake.http.middleware.head_options import is_head
from carecase_worker.intake.http.requests.headers import LastEventId
from carecase_worker.intake.http.responses.event_stream import EventStreamResponse
from carecase_worker.intake.jobs.client_events import ClientEvents
from carecase_worker.intake.jobs.cursors import END, LastEnds, chunks_of
from carecase_worker.intake.jobs.job_events import JobEvents
from carecase_worker.intake.jobs.listening import Listener
from carecase_worker.intake.jobs.routes import JobId, Jobs
from carecase_worker.intake.limits.streams import Streams
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.store.listening.completions import JobCompletions
from carecase_worker.store.listening.followers import Follower


@dataclass(frozen=True, slots=True)
class JobsEvents:
    """The operations of the event routes."""

    jobs: Jobs
    completions: JobCompletions
    access: AccessControl
    streams: Streams
    settings: IntakeSettings

    async def of_job(
        self, request: Request, caller: Caller, job_id: str, with_outcomes: bool, last: str | None
    ) -> Response:
        """Stream the events of a job after the id `last`; 204 if there are none, so that the client does not reconnect.

        The access to outcomes is audited before the stream begins. Raises JobNotFound, JobExpired, BatchRefused
        for another id, RateExceeded, BacklogFull, AuditUnavailable.
        """
        job = await self.jobs.read(job_id, caller)
        add_log_fields(request.scope, database=job.database)
        if last == END and job.state.final:
            return Response(status_code=204)
        sent = chunks_of(last, len(job.chunk_firsts)) if last else set()
        until_answered(request.scope, self.streams.place(caller.client))
        if with_outcomes and not is_head(request):
            audited = Audited(self.jobs.recorder, request, caller)
            await audited.recorded(Event.READ, job.database, job.job_id, job.total)
        follower = until_answered(request.scope, self.completions.followers.of_job(job.job_id))
        await self.completions.hear_progress()
        listener = self._listener(request, caller, follower)
        events = JobEvents(self.jobs.results, listener, job.job_id, sent if with_outcomes else None)
        return EventStreamResponse(events.stream(), follower.end)

    async def of_client(self, request: Request, caller: Caller, last: str | None) -> Response:
        """Stream the events of the caller's jobs, after the id `last` or from now on.

        Raises BatchRefused for another id, RateExceeded, BacklogFull, StoreUnavailable.
        """
        end = LastEnds.of(last) if last else None
        until_answered(request.scope, self.streams.place(caller.client))
        follower = until_answered(request.scope, self.completions.followers.of_client(caller.client))
        await self.completions.hear_progress()
        if end is None:
            end = LastEnds.from_now_on(await self.jobs.reads.now())
        else:
            follower.miss()
        listener = self._listener(request, caller, follower)
        events = ClientEvents(self.jobs.lists, self.jobs.threads, listener, end)
        return EventStreamResponse(events.stream(), follower.end)

    def _listener(self, request: Request, caller: Caller, follower: Follower) -> Listener:
        headers, scope = request.headers, request.scope
        credentials = headers.get("x-api-key"), headers.get("authorization"), address_of(scope)
        return Listener(
            caller,
            scope["root_path"],
            self.settings.event_heartbeat,
            follower,
            partial(self.access.check, *credentials),
            partial(self.jobs.read, caller=caller),
        )


def event_routes(events: JobsEvents, caller: Callable[..., Awaitable[Caller]]) -> APIRouter:
    """Make the event routes; they precede those of jobs, whose path parameter would match them."""
    router = APIRouter(tags=["Jobs"], default_response_class=EventStreamResponse)
    who = Annotated[Caller, Depends(caller)]

    @router.get(
        "/jobs/events",
        operation_id="ListJobEvents",
        summary="Progress and ends of the caller's jobs",
        status_code=200,
    )
    async def list_job_events(request: Request, who: who, last: LastEventId = None) -> Response:
        return await events.of_client(request, who, last)

    @router.get(
        "/jobs/{jobId}/events",
        operation_id="GetJobEvents",
        summary="Progress, outcomes and end of a job",
        status_code=200,
    )
    async def get_job_events(
        request: Request,
        job_id: JobId,
        who: who,
        outcomes: Annotated[bool, Query(description="Also send the outcomes of the items")] = True,
        last: LastEventId = None,
    ) -> Response:
        return await events.of_job(request, who, job_id, outcomes, last)

    return router
