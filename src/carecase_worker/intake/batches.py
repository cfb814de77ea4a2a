"""The two PUT routes: read the batch, split it, admit it, ring for it, answer 202."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import BeforeValidator, Field

from carecase_worker.cases.care_case import INT32_MAX, INT32_MIN
from carecase_worker.errors import CareCaseError, StoreUnavailable
from carecase_worker.intake.accepted import Acceptances, accepted
from carecase_worker.intake.auth import Caller, granted
from carecase_worker.intake.body import Body, Decoder, form_of, receive
from carecase_worker.intake.negotiation import require_json
from carecase_worker.intake.openapi import BATCH
from carecase_worker.intake.paging import plain_integer
from carecase_worker.intake.patience import in_time
from carecase_worker.intake.requests import note
from carecase_worker.jobs.admission import Admissions, Draft, Sender
from carecase_worker.jobs.store import JobStore
from carecase_worker.jobs.verdicts import Admission
from carecase_worker.settings.model import IntakeSettings

CarePlanKey = Annotated[
    int,
    Field(ge=INT32_MIN, le=INT32_MAX, json_schema_extra={"format": "int32"}),
    BeforeValidator(plain_integer),
    Path(alias="carePlanKey", description="The care plan"),
]
Database = Annotated[str | None, Header(alias="vbasoftware-database", description="The target database")]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=255, description="The same key gives the same job"),
]
Prefer = Annotated[
    str | None,
    Header(alias="Prefer", description="respond-async, or wait=N: hold the answer for at most N seconds (RFC 7240)"),
]


@dataclass(frozen=True, slots=True)
class BatchHeaders:
    """What the headers say of a batch."""

    database: str | None
    idempotency_key: str | None


async def batch_headers(
    database: Database = None, idempotency_key: IdempotencyKey = None, _: Prefer = None
) -> BatchHeaders:
    """The headers of a batch, described for the published page."""
    return BatchHeaders(database, idempotency_key)


@dataclass(frozen=True, slots=True)
class Intake:
    """What accepting a batch takes."""

    settings: IntakeSettings
    admissions: Admissions
    store: JobStore
    acceptances: Acceptances
    new_id: Callable[[], UUID]

    async def accept(self, request: Request, caller: Caller, care_plan: int | None, headers: BatchHeaders) -> Response:
        """The answer to a batch: 202 once it cannot be lost. Raises BatchRefused, AccessRefused, StoreUnavailable."""
        target = granted(caller, headers.database)
        note(request.scope, database=target)
        form = form_of(request.headers.get("content-type"))
        decoder = Decoder(request.headers.get("content-encoding"))
        body = Body(decoder, form, self.settings.max_body_bytes)
        sender = Sender(caller.client, caller.user, target, care_plan, headers.idempotency_key)
        draft = self.admissions.draft(sender, self.new_id())

        def take(piece: bytes) -> None:
            for items in body.take(piece):
                draft.add(items)

        def admit(last: bytes) -> tuple[Admission, Response]:
            take(last)
            draft.add(body.finish())
            admission = draft.admit(body.sha256)
            job, pace = self.store.job(admission.job_id), self.store.pace(target)
            note(request.scope, job_id=job.job_id, items=job.total)
            return admission, accepted(request, job, pace)

        try:
            last = await receive(in_time(request.stream(), self.settings.body_timeout), take)
            admission, answer = await run_sync(admit, last)
        except CareCaseError:
            await run_sync(_discard, draft)
            raise
        return await self.acceptances.answer(request, target, admission, answer)


def _discard(draft: Draft) -> None:
    """Discard what is refused; if that fails, it goes by itself."""
    with suppress(StoreUnavailable):
        draft.discard()


def batch_routes(intake: Intake, caller: Callable[..., Awaitable[Caller]]) -> APIRouter:
    """The routes that take batches."""
    router = APIRouter(tags=["CareCases"], dependencies=[Depends(require_json)])

    @router.put(
        "/care-plans/{carePlanKey}/cases-batch",
        operation_id="UpdateBatchCareCase",
        summary="Create or update CareCases of one care plan",
        status_code=202,
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
        openapi_extra=BATCH,
    )
    async def put_batch(
        request: Request,
        who: Annotated[Caller, Depends(caller)],
        headers: Annotated[BatchHeaders, Depends(batch_headers)],
    ) -> Response:
        return await intake.accept(request, who, None, headers)

    return router
