"""The two PUT routes: read the batch, split it, admit it, ring for it, answer 202."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import BeforeValidator
from starlette.background import BackgroundTask

from carecase_worker.cases.batch import Items
from carecase_worker.cases.care_case import INT32_MAX, INT32_MIN
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.intake.accepted import accepted, ring
from carecase_worker.intake.auth import Caller, granted
from carecase_worker.intake.body import Body, Decoder, form_of, receive
from carecase_worker.intake.openapi import ACCEPTED, BATCH
from carecase_worker.intake.requests import note
from carecase_worker.jobs.admission import Admissions, Batch
from carecase_worker.jobs.queue import Doorbells
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Admission
from carecase_worker.settings.model import IntakeSettings


def _plain_integer(text: str) -> str:
    """JSON's idea of an integer; pydantic would also take 1_000, +1 and 1.0."""
    if not re.fullmatch(r"-?[0-9]+", text):
        raise ValueError("must be an integer")
    return text


CarePlanKey = Annotated[
    int,
    BeforeValidator(_plain_integer),
    Path(alias="carePlanKey", ge=INT32_MIN, le=INT32_MAX, description="The care plan"),
]
Database = Annotated[str | None, Header(alias="vbasoftware-database", description="The target database")]
IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", max_length=255, description="The same key gives the same job")
]


@dataclass(frozen=True, slots=True)
class BatchHeaders:
    """What the headers say of a batch."""

    database: str | None
    idempotency_key: str | None


async def batch_headers(database: Database = None, idempotency_key: IdempotencyKey = None) -> BatchHeaders:
    """The headers of a batch, described for the published page."""
    return BatchHeaders(database, idempotency_key)


@dataclass(frozen=True, slots=True)
class Intake:
    """What accepting a batch takes."""

    settings: IntakeSettings
    admissions: Admissions
    store: JobStore
    doorbells: Doorbells
    new_id: Callable[[], UUID]

    async def accept(self, request: Request, caller: Caller, care_plan: int | None, headers: BatchHeaders) -> Response:
        """The answer to a batch: 202 once it cannot be lost. Raises BatchRefused, AccessRefused, StoreUnavailable."""
        target = granted(caller, headers.database)
        note(request.scope, database=target)
        form = form_of(request.headers.get("content-type"))
        decoder = Decoder(request.headers.get("content-encoding"))
        with Body(decoder, self.settings.max_body_bytes, self.settings.spool_dir) as body:
            await receive(request.stream(), body)

            def admit() -> tuple[Admission, Response]:
                batch = self._batch(caller, target, care_plan, headers.idempotency_key, body.split(form), body.sha256)
                admission = self.admissions.admit(batch, self.new_id())
                job, pace = self.store.job(admission.job_id), self.store.pace(target)
                note(request.scope, job_id=job.job_id, items=job.total)
                return admission, accepted(job, pace, request.headers.get("accept"))

            admission, answer = await run_sync(admit)
        answer.background = BackgroundTask(ring, self.doorbells, target, admission.rings)
        return answer

    def _batch(
        self, caller: Caller, database: str, care_plan: int | None, key: str | None, items: Items, sha256: str
    ) -> Batch:
        if len(items) > self.settings.max_items:
            raise BatchRefused(
                BatchFault.TOO_MANY_ITEMS,
                f"The batch has more than {self.settings.max_items} items. Send them in several batches.",
            )
        return Batch(caller.client, caller.user, database, care_plan, items, sha256, key)


def batch_routes(intake: Intake, caller: Callable[..., Awaitable[Caller]]) -> APIRouter:
    """The routes that take batches."""
    router = APIRouter(tags=["CareCases"])

    @router.put(
        "/care-plans/{carePlanKey}/cases-batch",
        operation_id="UpdateBatchCareCase",
        summary="Create or update CareCases of one care plan",
        status_code=202,
        responses=ACCEPTED,
        openapi_extra=BATCH,
    )
    async def put_batch_of_care_plan(
        request: Request,
        care_plan: CarePlanKey,
        who: Annotated[Caller, Depends(caller)],
        headers: Annotated[BatchHeaders, Depends(batch_headers)],
    ) -> Response:
        return await intake.accept(request, who, care_plan, headers)

    @router.put(
        "/care-cases-batch",
        operation_id="UpdateBatchCareCaseOfAnyCarePlan",
        summary="Create or update CareCases, each of the care plan that it names",
        status_code=202,
        responses=ACCEPTED,
        openapi_extra=BATCH,
    )
    async def put_batch(
        request: Request,
        who: Annotated[Caller, Depends(caller)],
        headers: Annotated[BatchHeaders, Depends(batch_headers)],
    ) -> Response:
        return await intake.accept(request, who, None, headers)

    return router
