"""The two PUT routes: they receive a batch, split it, admit it, notify workers and respond with 202."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import BeforeValidator, Field, TypeAdapter

from carecase_worker.audit.records import Event
from carecase_worker.batches.body import Body
from carecase_worker.batches.decoding import Decoder
from carecase_worker.cases.care_case import INT32_MAX, INT32_MIN
from carecase_worker.cases.validation import Rules
from carecase_worker.clock import Clock
from carecase_worker.errors import BatchFault, BatchRefused, CareCaseError, StoreUnavailable
from carecase_worker.files.episodes import EpisodeMapping
from carecase_worker.files.mapping import FileMapping
from carecase_worker.files.media_types import media_type_of
from carecase_worker.intake.access.audit_trail import Audited, Recorder
from carecase_worker.intake.access.authenticator import Caller, authorise_database, authorise_dry_run
from carecase_worker.intake.batches.body_timeout import in_time
from carecase_worker.intake.batches.mappings import Mappings
from carecase_worker.intake.batches.upload import Incoming, OpenResponse
from carecase_worker.intake.batches.validate_only import BatchCheck
from carecase_worker.intake.http.middleware.access_log import add_log_fields, since_received, span_of
from carecase_worker.intake.http.requests.headers import IdempotencyKey, Prefer
from carecase_worker.intake.http.requests.paging import plain_integer
from carecase_worker.intake.http.requests.plain_routes import Parameters, read_by
from carecase_worker.intake.jobs.accepted import Acceptances, accepted, require_same
from carecase_worker.intake.jobs.result_formats import result_format_of
from carecase_worker.intake.limits.bodies import Bodies, Open
from carecase_worker.intake.limits.threads import ClientThreads
from carecase_worker.intake.openapi.request_body import BATCH
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.store.loop_store import LoopStore
from carecase_worker.store.operations.admission import Admission, NewJob, require_admitted
from carecase_worker.store.pending_batch import Admissions, Sender
from carecase_worker.telemetry import Metrics

CarePlanKey = Annotated[
    int,
    Field(ge=INT32_MIN, le=INT32_MAX, json_schema_extra={"format": "int32"}),
    BeforeValidator(plain_integer),
    Path(alias="carePlanKey", description="The care plan"),
]
Database = Annotated[str | None, Header(alias="vbasoftware-database", description="The target database")]
MappingName = Annotated[
    str | None,
    Query(
        alias="mapping",
        min_length=1,
        max_length=64,
        description="The name of the mapping from the rows of a file to cases",
    ),
]
ValidateOnly = Annotated[
    bool, Query(alias="validateOnly", description="Only validate the items; store and apply nothing")
]

DryRun = Annotated[
    bool, Query(alias="dryRun", description="Apply the items and roll back; the result predicts the outcome of each")
]

_CARE_PLAN_KEY: TypeAdapter[int] = TypeAdapter(CarePlanKey)
_IDEMPOTENCY_KEY: TypeAdapter[str | None] = TypeAdapter(IdempotencyKey)
_MAPPING: TypeAdapter[str | None] = TypeAdapter(MappingName)
_VALIDATE_ONLY: TypeAdapter[bool] = TypeAdapter(ValidateOnly)
_DRY_RUN: TypeAdapter[bool] = TypeAdapter(DryRun)
_ON_ITS_OWN_BYTES = 64 << 10
"""Size in bytes from which payloads are sent to Redis by a thread, to keep the event loop free."""
_AT_ONCE_BYTES = 16 << 10
"""Maximum size in bytes of a body processed on the event loop, where it takes at most a millisecond."""


@dataclass(frozen=True, slots=True)
class BatchHeaders:
    """The headers and query parameters of a batch."""

    database: str | None
    idempotency_key: str | None
    validate_only: bool
    mapping: str | None = None
    dry_run: bool = False


async def batch_headers(
    database: Database = None,
    idempotency_key: IdempotencyKey = None,
    validate_only: ValidateOnly = False,
    mapping: MappingName = None,
    dry_run: DryRun = False,
    _: Prefer = None,
) -> BatchHeaders:
    """Return the headers of a batch; FastAPI publishes their description."""
    return BatchHeaders(database, idempotency_key, validate_only, mapping, dry_run)


@dataclass(frozen=True, slots=True)
class Intake:
    """The acceptance of batches."""

    settings: IntakeSettings
    admissions: Admissions
    store: LoopStore
    acceptances: Acceptances
    new_id: Callable[[], UUID]
    clock: Clock
    recorder: Recorder
    bodies: Bodies
    threads: ClientThreads
    mappings: Mappings
    metrics: Metrics

    async def accept(self, request: Request, caller: Caller, care_plan: int | None, headers: BatchHeaders) -> Response:
        """Accept a batch: 202 once it is durable. Raises BatchRefused, AccessRefused, StoreUnavailable."""
        target = authorise_database(caller, headers.database)
        authorise_dry_run(caller, headers.dry_run)
        add_log_fields(request.scope, database=target, **_mode_of(headers))
        body = self._body_of(request, self.mappings.find(caller.client, headers.mapping, care_plan))
        audited = Audited(self.recorder, request, caller)
        with ExitStack() as stack:
            announced = int(request.headers.get("content-length", 0))
            opened = stack.enter_context(self.bodies.open(caller.client, announced))
            if headers.validate_only:
                rules = Rules(care_plan, caller.user, self.clock.now())
                result = result_format_of(request)
                document = await self._check(
                    audited, target, BatchCheck(rules, self.admissions.bounds, result), body, opened
                )
                pieces = result.document(request.scope["carecase.activity"], document)
                return OpenResponse(self.threads.pieces(caller.client, pieces), result.media_type, stack.pop_all())
            wanted = self.acceptances.long_poll.wanted(request)
            sender = Sender(
                caller.client,
                caller.user,
                target,
                care_plan,
                headers.idempotency_key,
                wanted.strict,
                headers.dry_run,
                mapping=headers.mapping or "",
                traceparent=span_of(request.scope).traceparent,
            )
            admission, answer = await self._admit(audited, sender, body, opened)
            self.metrics.accepted(since_received(request.scope))
        del body  # its memory is no longer counted, and a response may be held for a minute
        return await self.acceptances.answer(audited, target, wanted, admission, answer)

    def _body_of(self, request: Request, mapping: FileMapping | EpisodeMapping | None) -> Body:
        """Make the body of a request from its headers and mapping. Raises BatchRefused."""
        media_type = media_type_of(request.headers.get("content-type"))
        decoder = Decoder(request.headers.get("content-encoding"))
        splitter = media_type.splitter(mapping, self.settings.max_item_bytes)
        return Body(decoder, splitter, self.settings.max_body_bytes)

    async def _admit(self, audited: Audited, sender: Sender, body: Body, opened: Open) -> tuple[Admission, Response]:
        """Receive a body and admit it as a job; return the admission and the 202."""
        request, draft = audited.request, self.admissions.draft(sender, self.new_id())

        incoming = Incoming(body, draft, opened, _AT_ONCE_BYTES)
        try:
            new, last = await incoming.receive(self._pieces(request), lambda: draft.ended(body.sha256))
            event = Event.DRY_RUN if sender.dry_run else Event.SENT
            await audited.recorded(event, sender.database, draft.job_id, draft.total)
            with span_of(request.scope).child("admit"):
                admission = await self._admitted(audited, new, last)
        except CareCaseError:
            if draft.is_busy:
                await self.threads.run(sender.client, draft.discard)
            raise
        job = admission.job or await self.store.job(admission.job_id)
        pace = admission.pace or await self.store.pace(sender.database)
        require_same(job, sender, body.sha256)
        add_log_fields(request.scope, job_id=job.job_id, items=job.total)
        return admission, accepted(request, job, pace)

    async def _admitted(self, audited: Audited, new: NewJob, last: Mapping[int, bytes]) -> Admission:
        """Admit a recorded batch. If that fails, or an earlier job has the batch, void the audit record."""
        try:
            if sum(map(len, (new.key_set, *last.values()))) > _ON_ITS_OWN_BYTES:
                admission = await self.threads.run(new.client, partial(self.admissions.store.admit, new, last))
            else:
                admission = await self.store.admit(new, last)
            require_admitted(admission)
        except CareCaseError as error:
            if not isinstance(error, StoreUnavailable):  # then it may have been admitted
                await self._void(audited, new)
            raise
        if admission.job_id != new.job_id:
            await self._void(audited, new)
        return admission

    async def _void(self, audited: Audited, new: NewJob) -> None:
        await self.threads.run(new.client, partial(audited.void, new.database, new.job_id))

    async def _check(self, audited: Audited, database: str, check: BatchCheck, body: Body, opened: Open) -> list[bytes]:
        """Validate each item of a batch without storing it; return the pieces of its result. Raises BatchRefused."""

        def finished() -> list[bytes]:
            pieces = check.finish()
            audited.record(Event.VALIDATED, database, None, check.total)
            return pieces

        pieces = await Incoming(body, check, opened).receive(self._pieces(audited.request), finished)
        opened.holds(check.buffered_bytes)
        return pieces

    def _pieces(self, request: Request) -> AsyncIterator[bytes]:
        return in_time(request.receive, self.settings.body_timeout, self.settings.body_least_bytes_per_second)


def _mode_of(headers: BatchHeaders) -> dict[str, bool]:
    """Return the log field of a dry run. Raises BatchRefused for both validateOnly and dryRun."""
    if headers.dry_run and headers.validate_only:
        raise BatchRefused(
            BatchFault.CONTRADICTORY,
            "validateOnly and dryRun exclude each other. Send validateOnly to validate the items at once, or"
            " dryRun to also check them against the target database.",
        )
    return {"dry_run": True} if headers.dry_run else {}


def batch_routes(intake: Intake, caller: Callable[..., Awaitable[Caller]]) -> APIRouter:
    """Make the routes of batches."""

    async def read(request: Request) -> dict[str, Any]:
        who = await caller(request, request.headers.get("x-api-key"))
        sent, parameters = request.headers, Parameters(request)
        path = (
            {}
            if (named := request.path_params.get("carePlanKey")) is None
            else {"care_plan": parameters.take("carePlanKey", _CARE_PLAN_KEY, named)}
        )
        key = parameters.take("Idempotency-Key", _IDEMPOTENCY_KEY, sent.get("idempotency-key"))
        mapping = parameters.take("mapping", _MAPPING, request.query_params.get("mapping"))
        validate_only = parameters.take("validateOnly", _VALIDATE_ONLY, request.query_params.get("validateOnly"))
        dry_run = parameters.take("dryRun", _DRY_RUN, request.query_params.get("dryRun"))
        parameters.require_good()
        headers = BatchHeaders(sent.get("vbasoftware-database"), key, bool(validate_only), mapping, bool(dry_run))
        return {**path, "who": who, "headers": headers}

    router = APIRouter(tags=["CareCases"], route_class=read_by(read))

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
