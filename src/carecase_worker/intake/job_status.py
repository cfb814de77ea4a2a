"""Poll a job, get its result, cancel it, send again what failed."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from carecase_worker.clock import Clock
from carecase_worker.errors import JobConflict, JobExpired, JobNotFound
from carecase_worker.intake.accepted import accepted, ring
from carecase_worker.intake.again import write_again
from carecase_worker.intake.auth import Caller
from carecase_worker.intake.body import Body, Decoder, Form
from carecase_worker.intake.documents import envelope, job_document, json_type, multi_status, retry_after
from carecase_worker.intake.openapi import CANCELLED, JOB, RESULT, RETRIED
from carecase_worker.intake.requests import note
from carecase_worker.jobs.admission import Admissions, Batch
from carecase_worker.jobs.chunks import ChunkOutcomes, unpack_done
from carecase_worker.jobs.job import Job
from carecase_worker.jobs.queue import Doorbells
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Cancelled
from carecase_worker.settings.model import IntakeSettings

_CHUNKS_AT_ONCE = 8

JobId = Annotated[str, Path(alias="jobId", description="The job", json_schema_extra={"format": "uuid"})]


@dataclass(frozen=True, slots=True)
class Jobs:
    """What telling of jobs takes."""

    store: JobStore
    doorbells: Doorbells
    clock: Clock
    admissions: Admissions
    settings: IntakeSettings
    new_id: Callable[[], UUID]

    def job(self, job_id: str, caller: Caller) -> Job:
        """A job of the caller. Raises JobNotFound, also for somebody else's, and JobExpired."""
        job = self.store.job(_canonical(job_id))
        if job.client != caller.client:
            raise JobNotFound("There is no such job.")
        if job.expired(self.clock.now()):
            raise JobExpired("The job is over and its result is no longer kept.")
        return job

    def status(self, request: Request, job: Job) -> Response:
        """The job document; 304 if the client has it already."""
        note(request.scope, database=job.database)
        tag = f'"{job.state.value}-{job.processed}"'
        headers = {"ETag": tag}
        if not job.state.final:
            headers["Retry-After"] = retry_after(self.store.pace(job.database))
        if _matches(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        return Response(envelope(job.job_id, job_document(job)), 200, headers, json_type(request.headers.get("accept")))

    def result(self, request: Request, job: Job) -> Response:
        """The multi-status document, or the job while it is not final."""
        note(request.scope, database=job.database, items=job.total if job.state.final else None)
        if not job.state.final:
            return accepted(job, self.store.pace(job.database), request.headers.get("accept"))
        chunks = self._outcomes(job)
        first = next(chunks)  # what is wrong with the store or the result shows here, while it can still be told
        return StreamingResponse(
            multi_status(job.job_id, chain([first], chunks)), 207, media_type=json_type(request.headers.get("accept"))
        )

    def cancel(self, request: Request, job: Job) -> Response:
        """Cancel what has not been applied. Raises JobConflict if that is nothing."""
        note(request.scope, database=job.database)
        verdict, rings = self.store.cancel(job.job_id, self.clock.now())
        if verdict is Cancelled.FINAL:
            raise JobConflict("The job is final: there is nothing left to cancel.")
        if verdict is Cancelled.GONE:
            raise JobNotFound("There is no such job.")
        answer = accepted(self.store.job(job.job_id), self.store.pace(job.database), request.headers.get("accept"))
        answer.background = BackgroundTask(ring, self.doorbells, job.database, rings)
        return answer

    def send_again(self, request: Request, job: Job, caller: Caller) -> Response:
        """A new job of the items that failed for a reason outside themselves. Raises JobConflict if there are none."""
        with Body(Decoder(None), self.settings.max_body_bytes, self.settings.spool_dir) as body:
            write_again(self.store, self.admissions.seals, job, body)
            key = request.headers.get("idempotency-key")
            items = body.split(Form.ARRAY)
            batch = Batch(caller.client, caller.user, job.database, job.care_plan, items, body.sha256, key)
            admission = self.admissions.admit(batch, self.new_id())
        new = self.store.job(admission.job_id)
        note(request.scope, database=new.database, items=new.total, new_job_id=new.job_id)
        answer = accepted(new, self.store.pace(new.database), request.headers.get("accept"))
        answer.background = BackgroundTask(ring, self.doorbells, new.database, admission.rings)
        return answer

    def _outcomes(self, job: Job) -> Iterator[ChunkOutcomes]:
        numbers = range(len(job.chunk_firsts))
        for start in range(0, len(numbers), _CHUNKS_AT_ONCE):
            for packed in self.store.outcomes(job.job_id, numbers[start : start + _CHUNKS_AT_ONCE]):
                if packed is None:
                    raise JobExpired("The job is over and its result is no longer kept.")
                yield unpack_done(packed)


def _matches(if_none_match: str | None, tag: str) -> bool:
    """Whether the client has this version; RFC 9110 compares weakly here."""
    held = [part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")]
    return tag in held or "*" in held


def _canonical(job_id: str) -> str:
    try:
        return str(UUID(job_id))
    except ValueError:
        raise JobNotFound("There is no such job.") from None


def job_routes(jobs: Jobs, caller: Callable[..., Awaitable[Caller]]) -> APIRouter:
    """The routes that tell of jobs."""
    router = APIRouter(tags=["Jobs"])
    who = Annotated[Caller, Depends(caller)]

    @router.get("/jobs/{jobId}", operation_id="GetJob", summary="Where a job stands", responses=JOB)
    def get_job(request: Request, job_id: JobId, who: who) -> Response:
        return jobs.status(request, jobs.job(job_id, who))

    @router.get(
        "/jobs/{jobId}/result",
        operation_id="GetJobResult",
        summary="What became of each item",
        status_code=207,
        responses=RESULT,
    )
    def get_result(request: Request, job_id: JobId, who: who) -> Response:
        return jobs.result(request, jobs.job(job_id, who))

    @router.delete(
        "/jobs/{jobId}",
        operation_id="CancelJob",
        summary="Cancel what has not been applied",
        status_code=202,
        responses=CANCELLED,
    )
    def cancel_job(request: Request, job_id: JobId, who: who) -> Response:
        return jobs.cancel(request, jobs.job(job_id, who))

    @router.post(
        "/jobs/{jobId}/retry",
        operation_id="RetryJob",
        summary="Send again what failed for a reason outside the items",
        status_code=202,
        responses=RETRIED,
    )
    def retry_job(request: Request, job_id: JobId, who: who) -> Response:
        return jobs.send_again(request, jobs.job(job_id, who), who)

    return router
