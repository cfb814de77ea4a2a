"""Routes of jobs: list, status, result, cancel, purge, retry."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.background import BackgroundTask

from carecase_worker.audit.records import Event
from carecase_worker.broker.notifier import Notifier
from carecase_worker.errors import CareCaseError, JobConflict, JobExpired, JobNotFound
from carecase_worker.intake.access.audit_trail import Audited, Recorder
from carecase_worker.intake.access.authenticator import Caller, authorise_dry_run
from carecase_worker.intake.http.envelope import envelope
from carecase_worker.intake.http.middleware.access_log import add_log_fields, span_of
from carecase_worker.intake.http.requests.headers import IdempotencyKey, Prefer
from carecase_worker.intake.http.requests.negotiation import json_type_of, names_version
from carecase_worker.intake.http.requests.paging import DEFAULT_PAGE_SIZE, Page, PageNumber, PageSize
from carecase_worker.intake.http.requests.plain_routes import read_by
from carecase_worker.intake.http.requests.prefer import applied
from carecase_worker.intake.jobs.accepted import accepted, notify, require_same
from carecase_worker.intake.jobs.documents import job_document, job_tag, retry_after
from carecase_worker.intake.jobs.long_poll import LongPoll
from carecase_worker.intake.jobs.resubmit import add_retryable_items, admitted
from carecase_worker.intake.jobs.results import OutcomeFilter, ResultQuery, Results
from carecase_worker.intake.limits.threads import ClientThreads
from carecase_worker.store.job import Cancelled, Job, Purged, State
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.loop_store import LoopStore
from carecase_worker.store.operations.admission import Admission, Admitted
from carecase_worker.store.pending_batch import Admissions, Sender
from carecase_worker.store.queries.job_lists import JobFilter, JobLists
from carecase_worker.store.queries.workload import Workload
from carecase_worker.telemetry import logger

_log = logger("intake")

_FINAL = "The job is final: there is nothing left to cancel."
JobId = Annotated[str, Path(alias="jobId", description="The job", json_schema_extra={"format": "uuid"})]


@dataclass(frozen=True, slots=True)
class Jobs:
    """The operations of the job routes."""

    store: JobStore
    workload: Workload
    reads: LoopStore
    lists: JobLists
    notifier: Notifier
    admissions: Admissions
    long_poll: LongPoll
    threads: ClientThreads
    results: Results
    new_id: Callable[[], UUID]
    recorder: Recorder

    def job(self, job_id: str, caller: Caller) -> Job:
        """Read a job of the caller, in a database that it may use. Raises JobNotFound for any other job, JobExpired."""
        return _of(caller, self.store.job(_canonical(job_id)))

    async def read(self, job_id: str, caller: Caller) -> Job:
        """Read a job as `job` does, without a thread."""
        name = _canonical(job_id)
        async with self.threads.share(caller.client):
            return _of(caller, await self.reads.job(name))

    async def once_final(self, request: Request, job_id: str, caller: Caller) -> tuple[Job, dict[str, str]]:
        """Read a job of the caller, by long poll if preferred, and make the headers for that. Raises as `job` does."""
        wanted, name, read = self.long_poll.wanted(request), _canonical(job_id), partial(self.read, job_id, caller)
        job = await self.long_poll.job(request, name, wanted.wait, read) if wanted.wait else await read()
        add_log_fields(request.scope, database=job.database)
        return job, applied(wanted, final=True)

    async def status(self, request: Request, job: Job, headers: dict[str, str]) -> Response:
        """Return the job document; 304 if the client already has it."""
        tag = job_tag(job)
        headers = {**headers, "ETag": tag, "Vary": "Accept"}
        if not job.state.final:
            headers["Retry-After"] = retry_after(await self.reads.pace(job.database))
        if names_version(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        document = job_document(job, request.scope["root_path"])
        return Response(envelope(job.job_id, document), 200, headers, json_type_of(request))

    async def result(
        self, request: Request, caller: Caller, job: Job, wanted: ResultQuery, headers: dict[str, str]
    ) -> Response:
        """Return the multi-status document, or the job while it is not final. Raises AuditUnavailable.

        A partial result of a job that is not final has a Retry-After.
        """
        if not job.state.final and wanted.partial:
            headers = {**headers, "Retry-After": retry_after(await self.reads.pace(job.database))}
        elif not job.state.final:
            return accepted(request, job, await self.reads.pace(job.database), headers)
        audited = Audited(self.recorder, request, caller)
        given = partial(audited.record, Event.READ, job.database, job.job_id)
        return await self.threads.run(caller.client, partial(self.results.answer, request, job, wanted, headers, given))

    def purge(self, request: Request, caller: Caller, job: Job) -> Response:
        """Remove payload and result of a final job.

        Raises JobConflict if it is not final, JobNotFound, AuditUnavailable.
        """
        add_log_fields(request.scope, database=job.database)
        if not job.state.final:
            raise JobConflict("The job is not final yet. Wait for it, or cancel it first; then purge it.")
        audited = Audited(self.recorder, request, caller)
        audited.record(Event.PURGED, job.database, job.job_id, job.total)
        if self.store.purge(job.job_id) is Purged.GONE:
            audited.void(job.database, job.job_id)
            raise JobNotFound("There is no such job.")
        _log.info("job purged", job_id=job.job_id, client=job.client, database=job.database, items=job.total)
        return Response(status_code=204)

    def cancel(self, request: Request, caller: Caller, job: Job) -> Response:
        """Cancel the items that have not been applied.

        Raises JobConflict if the job is final, JobNotFound, AuditUnavailable.
        """
        add_log_fields(request.scope, database=job.database)
        if job.state.final:
            raise JobConflict(_FINAL)
        audited = Audited(self.recorder, request, caller)
        audited.record(Event.CANCELLED, job.database, job.job_id, job.total - job.processed)
        verdict, to_notify = self.store.cancel(job.job_id)
        if verdict is not Cancelled.CANCELLING:
            audited.void(job.database, job.job_id)
        if verdict is Cancelled.FINAL:
            raise JobConflict(_FINAL)
        answer = accepted(request, self.store.job(job.job_id), self.workload.pace(job.database))
        answer.background = BackgroundTask(notify, self.notifier, job.database, to_notify)
        return answer

    def resubmit(self, request: Request, job: Job, caller: Caller, key: str | None) -> Response:
        """Make a new job of the retryable items, or return the job that already has them.

        Raises JobConflict if there are none or the job is not final, AuditUnavailable.
        """
        key = key or f"retry of {job.job_id}"  # so that a repeated request gives the same job
        authorise_dry_run(caller, job.dry_run)
        span = span_of(request.scope)
        span.link(job.traceparent)
        place = span.traceparent or job.traceparent
        sender = Sender(
            caller.client,
            caller.user,
            job.database,
            job.care_plan,
            key,
            job.strict,
            job.dry_run,
            retry_of=job.job_id,
            traceparent=place,
        )
        if job.retried_as is not None:
            return self._respond_again(request, Admission(Admitted.KNOWN, job.retried_as), sender)
        draft = self.admissions.draft(sender, self.new_id())
        try:
            digest = add_retryable_items(self.store, self.admissions.seals, job, draft)
            audited = Audited(self.recorder, request, caller)
            with span.child("admit"):
                admission = admitted(audited, Event.RETRIED, job.database, draft, digest)
        except CareCaseError:
            draft.discard()
            raise
        return self._respond_again(request, admission, sender)

    def _respond_again(self, request: Request, admission: Admission, sender: Sender) -> Response:
        """Respond with the job that already has another job's items. Raises SealBroken if it is not such a job."""
        new = self.store.job(admission.job_id)
        require_same(new, sender)
        if new.expired:
            raise JobConflict("The items were retried before, and the result of that is no longer kept.")
        add_log_fields(request.scope, database=new.database, items=new.total, new_job_id=new.job_id)
        answer = accepted(request, new, self.workload.pace(new.database))
        answer.background = BackgroundTask(notify, self.notifier, new.database, admission.to_notify)
        return answer

    def listed(self, request: Request, caller: Caller, page: Page, which: JobFilter) -> Response:
        """Return one page of the caller's jobs."""
        total, jobs = self.lists.jobs_of(caller.client, caller.databases, which)
        documents = [job_document(job, request.scope["root_path"]) for job in jobs]
        content = envelope(request.scope["carecase.activity"], documents)
        return Response(content, 200, page.header(total), json_type_of(request))


def _of(caller: Caller, job: Job) -> Job:
    if job.client != caller.client or job.database not in caller.databases:
        raise JobNotFound("There is no such job.")
    if job.expired:
        raise JobExpired("The job is final and its result is no longer kept.")
    return job


def _canonical(job_id: str) -> str:
    try:
        return str(UUID(job_id))
    except ValueError:
        raise JobNotFound("There is no such job.") from None


def job_routes(jobs: Jobs, caller: Callable[..., Awaitable[Caller]]) -> APIRouter:
    """Make the routes of jobs."""

    async def read(request: Request) -> dict[str, Any]:
        return {"who": await caller(request, request.headers.get("x-api-key")), "job_id": request.path_params["jobId"]}

    router, polls = APIRouter(tags=["Jobs"]), APIRouter(route_class=read_by(read))
    who = Annotated[Caller, Depends(caller)]

    @router.get("/jobs", operation_id="ListJobs", summary="The caller's jobs, newest first")
    async def list_jobs(
        request: Request,
        who: who,
        page: PageNumber = 1,
        page_size: PageSize = DEFAULT_PAGE_SIZE,
        state: Annotated[State | None, Query(description="Only jobs in this state")] = None,
        database: Annotated[str | None, Query(description="Only jobs of this database")] = None,
    ) -> Response:
        wanted = Page(page, page_size)
        which = JobFilter(wanted.first, wanted.size, state.value if state else None, database)
        return await jobs.threads.run(who.client, lambda: jobs.listed(request, who, wanted, which))

    @polls.get("/jobs/{jobId}", operation_id="GetJob", summary="State of a job")
    async def get_job(request: Request, job_id: JobId, who: who, _: Prefer = None) -> Response:
        return await jobs.status(request, *await jobs.once_final(request, job_id, who))

    router.include_router(polls)

    @router.get(
        "/jobs/{jobId}/result",
        operation_id="GetJobResult",
        summary="Outcome of each item",
        status_code=207,
    )
    async def get_result(
        request: Request, job_id: JobId, who: who, wanted: Annotated[ResultQuery, Depends(_wanted)], _: Prefer = None
    ) -> Response:
        job, headers = await jobs.once_final(request, job_id, who)
        return await jobs.result(request, who, job, wanted, headers)

    @router.delete(
        "/jobs/{jobId}",
        operation_id="CancelJob",
        summary="Cancel items that have not been applied, or purge a final job",
        status_code=202,
    )
    async def cancel_job(
        request: Request,
        job_id: JobId,
        who: who,
        purge: Annotated[bool, Query(description="Remove payload and result of a final job now")] = False,
    ) -> Response:
        end = jobs.purge if purge else jobs.cancel
        return await jobs.threads.run(who.client, lambda: end(request, who, jobs.job(job_id, who)))

    @router.post(
        "/jobs/{jobId}/retry",
        operation_id="RetryJob",
        summary="Retry items that failed for a reason other than their content",
        status_code=202,
    )
    async def retry_job(request: Request, job_id: JobId, who: who, idempotency_key: IdempotencyKey = None) -> Response:
        return await jobs.threads.run(
            who.client, lambda: jobs.resubmit(request, jobs.job(job_id, who), who, idempotency_key)
        )

    return router


async def _wanted(
    page: PageNumber | None = None,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    outcome: Annotated[OutcomeFilter | None, Query(description="Only items with this outcome")] = None,
    partial: Annotated[
        bool, Query(description="Also of a job that is not final: the outcomes committed so far")
    ] = False,
) -> ResultQuery:
    """Read the parameters that select items of a result; without a page, all items."""
    return ResultQuery(None if page is None else Page(page, page_size), outcome, partial)
