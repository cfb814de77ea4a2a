"""Responses to accepted batches: the 202 or, if the client waits for the job, the 207; and the notifications."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from fastapi import Request
from starlette.background import BackgroundTask
from starlette.responses import Response

from carecase_worker.audit.records import Event
from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.notifier import Notifier
from carecase_worker.errors import CareCaseError, SealBroken, StoreUnavailable
from carecase_worker.intake.access.audit_trail import Audited
from carecase_worker.intake.http.envelope import envelope
from carecase_worker.intake.http.requests.negotiation import json_type_of
from carecase_worker.intake.http.requests.prefer import Preferences, applied
from carecase_worker.intake.jobs.documents import job_document, job_path, retry_after
from carecase_worker.intake.jobs.long_poll import LongPoll
from carecase_worker.intake.jobs.results import ResultQuery, Results
from carecase_worker.intake.limits.threads import ClientThreads
from carecase_worker.store.job import Job
from carecase_worker.store.loop_store import LoopStore
from carecase_worker.store.operations.admission import Admission
from carecase_worker.store.operations.throughput import Throughput
from carecase_worker.store.pending_batch import Sender
from carecase_worker.telemetry import logger

_log = logger("intake")


def accepted(request: Request, job: Job, pace: Throughput, headers: dict[str, str] | None = None) -> Response:
    """Make the 202 of a job that is not final."""
    root_path = request.scope["root_path"]
    all_headers = {"Location": job_path(job.job_id, root_path), "Retry-After": retry_after(pace), **(headers or {})}
    return Response(envelope(job.job_id, job=job_document(job, root_path)), 202, all_headers, json_type_of(request))


def notify(notifier: Notifier, database: str, chunks: Iterable[ChunkRef]) -> None:
    """Notify workers of open chunks: best effort, since the sweep notifies for missed chunks."""
    try:
        notifier.notify(database, chunks)
    except StoreUnavailable as error:
        _log.warning("not notified", database=database, reason=str(error))


def require_same(job: Job, sender: Sender, body_sha256: str = "") -> None:
    """Raise SealBroken unless the job that the store returned for a batch has this sender and, if given, this body."""
    sent = body_sha256 or job.body_sha256
    theirs = (job.client, job.database, job.care_plan, job.strict, job.dry_run, job.body_sha256 or sent)
    if theirs != (sender.client, sender.database, sender.care_plan, sender.strict, sender.dry_run, sent):
        raise SealBroken("the job store returned the job of another batch for these items")


@dataclass(frozen=True, slots=True)
class Acceptances:
    """The responder to admitted batches."""

    store: LoopStore
    notifier: Notifier
    long_poll: LongPoll
    threads: ClientThreads
    results: Results

    async def answer(
        self, audited: Audited, database: str, wanted: Preferences, admission: Admission, at_once: Response
    ) -> Response:
        """Notify workers and return `at_once`, or the result if the client waits and the job becomes final in time."""
        request, job_id, to_notify = audited.request, admission.job_id, admission.to_notify
        client = audited.caller.client
        if not wanted.wait:
            at_once.headers.update(applied(wanted, final=False, of_batch=True))
            at_once.background = BackgroundTask(notify, self.notifier, database, to_notify) if to_notify else None
            return at_once
        if to_notify:
            await self.threads.run(client, partial(notify, self.notifier, database, to_notify))

        async def read() -> Job:
            async with self.threads.share(client):
                return await self.store.job(job_id)

        try:
            job = await self.long_poll.job(request, job_id, wanted.wait, read)
            headers = applied(wanted, job.state.final, of_batch=True)
            if not job.state.final:
                return accepted(request, job, await self.store.pace(job.database), headers)
            return await self.threads.run(client, partial(self._result, audited, job, headers))
        except CareCaseError as error:
            # the batch is accepted, even if waiting for its job or reading its result failed
            _log.warning("no result for a waiting client", job_id=job_id, reason=str(error))
            at_once.headers.update(applied(wanted, final=False, of_batch=True))
            return at_once

    def _result(self, audited: Audited, job: Job, headers: dict[str, str]) -> Response:
        request = audited.request
        location = job_path(job.job_id, request.scope["root_path"])
        given = partial(audited.record, Event.READ, job.database, job.job_id)
        return self.results.answer(request, job, ResultQuery(), {**headers, "Location": location}, given)
