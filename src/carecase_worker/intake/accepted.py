"""What follows an acceptance: the 202, and the doorbells."""

from collections.abc import Iterable

from starlette.responses import Response

from carecase_worker.errors import StoreUnavailable
from carecase_worker.intake.documents import envelope, job_document, job_path, json_type, retry_after
from carecase_worker.jobs.job import Job
from carecase_worker.jobs.queue import Doorbells
from carecase_worker.jobs.verdicts import ChunkRef, Pace
from carecase_worker.telemetry import logger

_log = logger("intake")


def accepted(job: Job, pace: Pace, accept: str | None) -> Response:
    """The 202 of a job that is not final; `accept` is the request's Accept header."""
    headers = {"Location": job_path(job.job_id), "Retry-After": retry_after(pace)}
    return Response(envelope(job.job_id, job=job_document(job)), 202, headers, json_type(accept))


def ring(doorbells: Doorbells, database: str, chunks: Iterable[ChunkRef]) -> None:
    """Ring for chunks that are open. The batch is safe already: what is not rung for now, the sweep rings for."""
    try:
        doorbells.ring(database, chunks)
    except StoreUnavailable as error:
        _log.warning("not rung", database=database, reason=str(error))
