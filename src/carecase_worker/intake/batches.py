"""The two PUT routes: read the batch, split it, admit it, ring for it, answer 202."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import BeforeValidator, Field

from carecase_worker.cases.batch import Items
from carecase_worker.cases.care_case import INT32_MAX, INT32_MIN
from carecase_worker.errors import BatchFault, BatchRefused
from carecase_worker.intake.accepted import Acceptances, accepted
from carecase_worker.intake.auth import Caller, granted
from carecase_worker.intake.body import Body, Decoder, form_of, receive
from carecase_worker.intake.negotiation import require_json
from carecase_worker.intake.openapi import BATCH
from carecase_worker.intake.paging import plain_integer
from carecase_worker.intake.patience import in_time
from carecase_worker.jobs.admission import Admissions, Batch
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
        form = form_of(request.headers.get("content-type"))
        decoder = Decoder(request.headers.get("content-encoding"))
        with Body(decoder, self.settings.max_body_bytes, self.settings.spool_dir) as body:
            await receive(in_time(request.stream(), self.settings.body_timeout), body)

            def admit() -> tuple[Admission, Response]:
                batch = self._batch(caller, target, care_plan, headers.idempotency_key, body.split(form), body.sha256)
                admission = self.admissions.admit(batch, self.new_id())
                job, pace = self.store.job(admission.job_id), self.store.pace(target)
                return admission, accepted(request, job, pace)

            admission, answer = await run_sync(admit)
        return await self.acceptances.answer(request, target, admission, answer)

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
