"""The wiring of the intake: the ASGI application and its dependencies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from itertools import chain
from socket import gethostname
from typing import Annotated, cast

from anyio.to_thread import run_sync
from fastapi import APIRouter, FastAPI, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from carecase_worker.audit.log import AuditLog
from carecase_worker.batches.chunking import ChunkLimits
from carecase_worker.batches.encryption import Seals
from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.clock import Clock, SystemClock, system_async_sleep, uuid7
from carecase_worker.errors import AccessFault, AccessRefused, CareCaseError, SettingsError, StoreUnavailable
from carecase_worker.intake.access.access_control import AccessControl
from carecase_worker.intake.access.audit_trail import Recorder
from carecase_worker.intake.access.authenticator import Caller, gate_of
from carecase_worker.intake.batches.mapping_routes import mapping_routes
from carecase_worker.intake.batches.mappings import Mappings
from carecase_worker.intake.batches.routes import Intake, batch_routes
from carecase_worker.intake.health import MetricSamples, WebhookSamples, health_routes
from carecase_worker.intake.http.envelope import envelope
from carecase_worker.intake.http.middleware.access_log import AccessLog, add_log_fields, address_of, until_answered
from carecase_worker.intake.http.middleware.forwarded import Forwarded
from carecase_worker.intake.http.middleware.head_options import HeadOptions, allowed
from carecase_worker.intake.http.middleware.header_lines import HeaderLines
from carecase_worker.intake.http.middleware.security_headers import SecurityHeaders, cors_options
from carecase_worker.intake.http.problems import Problem, problem_of, problem_of_method, problem_of_status
from carecase_worker.intake.http.requests.negotiation import json_type_of, require_acceptable
from carecase_worker.intake.http.requests.parameters import bad_parameters, require_known_parameters
from carecase_worker.intake.jobs.accepted import Acceptances
from carecase_worker.intake.jobs.event_routes import JobsEvents, event_routes
from carecase_worker.intake.jobs.long_poll import LongPoll
from carecase_worker.intake.jobs.results import Results
from carecase_worker.intake.jobs.routes import Jobs, job_routes
from carecase_worker.intake.limits.bodies import Bodies
from carecase_worker.intake.limits.in_progress import InProgress
from carecase_worker.intake.limits.process import Shared
from carecase_worker.intake.limits.streams import Streams
from carecase_worker.intake.limits.threads import ClientThreads, Processor, Threads
from carecase_worker.intake.openapi.descriptions import INFO
from carecase_worker.intake.openapi.document import publish
from carecase_worker.intake.openapi.page import add_public
from carecase_worker.intake.page.routes import add_page
from carecase_worker.settings.model import Settings
from carecase_worker.settings.sections.intake import IntakeSettings
from carecase_worker.settings.sections.oidc import OidcSettings
from carecase_worker.store.batch_store import BatchStore
from carecase_worker.store.job_store import JobStore
from carecase_worker.store.listening.completions import JobCompletions
from carecase_worker.store.loop_store import LoopStore
from carecase_worker.store.outbox import Outbox, webhooks_of
from carecase_worker.store.pending_batch import Admissions
from carecase_worker.store.queries.job_lists import JobLists
from carecase_worker.store.queries.measures import METRICS_TIMEOUT, JobMeasures
from carecase_worker.store.queries.workload import Workload
from carecase_worker.store.rate_limit import RateLimiter
from carecase_worker.store.redis.certificates import certificate_expiries
from carecase_worker.store.redis.client import StoreClient
from carecase_worker.store.workers.clock_watch import ClockWatch
from carecase_worker.store.workers.presence import Presence
from carecase_worker.store.workers.standstill import Standstill
from carecase_worker.telemetry import Gauges, Metrics, build_info
from carecase_worker.tracing.tracer import Tracer, tracer_of

_api_key = APIKeyHeader(name="x-api-key", scheme_name="apiKeyAuth", auto_error=False)
_bearer = HTTPBearer(scheme_name="bearerAuth", bearerFormat="JWT", auto_error=False)
_CLOCK_LOOK = timedelta(seconds=10)
_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""The framework's own telemetry is off: it would expose paths, queries, rejected values and error messages."""
_PACKERS = 8  # threads, for all bodies that are coming in


def create_app(settings: Settings) -> FastAPI:
    """Make the HTTP application. Raises SettingsError for a Redis that could lose batches, or StoreUnavailable."""
    clock, seals = SystemClock(), Seals(settings.encryption.by_id, settings.encryption.required)
    gauges: list[Gauges] = [*_gauges(settings)]
    metrics = Metrics(lambda: chain.from_iterable(each() for each in gauges))
    client, loop_store = _connections(settings, seals, metrics)
    store, workload = JobStore(client, settings.jobs, seals), Workload(client)
    notifier, tracer = Notifier(celery_app(settings)), tracer_of(settings.tracing, "intake")
    recorder = Recorder(AuditLog(settings.audit, clock).opened())
    rates = RateLimiter(settings.redis, settings.intake.rate_per_second, settings.intake.rate_burst)
    access_control = AccessControl(gate_of(settings), rates, settings.intake.refusal_hold)
    samples = _samples_of(settings, client, clock, recorder)
    in_progress, streams = InProgress.of(settings.intake), Streams.of(settings.intake)
    shared, processor = Shared.of(settings.intake), Processor(settings.intake)
    bodies, threads = Bodies(settings.intake, processor), ClientThreads(processor, Threads.of_requests(settings.intake))
    packers, completions = ThreadPoolExecutor(_PACKERS, "packer"), JobCompletions(settings.redis)
    gauges += (
        *(shared.connections, shared.quota, in_progress, streams, bodies.samples, processor.samples, completions),
        *(samples, WebhookSamples(Outbox(client), settings.webhooks), tracer.samples),
    )
    admissions = Admissions(
        BatchStore(client, settings.jobs),
        ChunkLimits(settings.jobs.chunk_items, settings.jobs.chunk_bytes, settings.intake.max_item_bytes),
        settings.intake.max_items,
        packers,
        seals,
        webhooks_of(settings.webhooks),
        processor.charge,
    )
    long_poll, new_id = LongPoll(completions, settings.intake.max_wait), partial(uuid7, clock)
    results, lists = Results(store, seals, threads), JobLists(settings.redis, seals)
    acceptances = Acceptances(loop_store, notifier, long_poll, threads, results)
    intake = Intake(
        settings.intake,
        admissions,
        loop_store,
        acceptances,
        new_id,
        clock,
        recorder,
        bodies,
        threads,
        Mappings.of(settings.clients),
        metrics,
    )
    jobs = Jobs(store, workload, loop_store, lists, notifier, admissions, long_poll, threads, results, new_id, recorder)

    caller = _caller_by(access_control, in_progress, settings.intake.require_user_agent)
    app = _application(completions, samples.presence, (loop_store, rates), tracer)
    routers = (
        *(batch_routes(intake, caller), mapping_routes(intake.mappings, caller)),
        event_routes(JobsEvents(jobs, completions, access_control, streams, settings.intake), caller),
        *(job_routes(jobs, caller), health_routes(samples, metrics)),
    )
    _add_routes(app, routers, metrics)
    requests = partial(AccessLog, metrics=metrics, new_id=lambda: str(new_id()), quota=shared.quota, tracer=tracer)
    _add_middleware(app, settings.intake, requests)
    _publish(app, settings.intake, settings.oidc)
    app.state.shared = shared
    return app


def _connections(settings: Settings, seals: Seals, metrics: Metrics) -> tuple[StoreClient, LoopStore]:
    """Return the job store's client for threads, and the store for the loop. Raises SettingsError, StoreUnavailable."""
    client = StoreClient(settings.redis, metrics.round_trip)
    client.check()
    return client, LoopStore(settings.redis, settings.jobs, seals, metrics.round_trip)


def _samples_of(settings: Settings, client: StoreClient, clock: Clock, recorder: Recorder) -> MetricSamples:
    """Make the metrics that are read from Redis and from the audit log."""
    databases = tuple(settings.databases)
    return MetricSamples(
        Workload(client),
        Presence(StoreClient(settings.redis, timeout=METRICS_TIMEOUT), clock),
        Standstill(client, settings.jobs),
        databases,
        gethostname(),
        recorder.log,
        JobMeasures(settings.redis, settings.jobs, databases),
    )


def _gauges(settings: Settings) -> tuple[Gauges, ...]:
    """Return the metrics of the version and the configuration."""
    return lambda: [build_info("intake")], partial(certificate_expiries, settings.redis)


def _caller_by(
    access_control: AccessControl, in_progress: InProgress, require_user_agent: bool
) -> Callable[..., Awaitable[Caller]]:
    """Make the dependency that authenticates the caller of a request, and checks its Accept header."""

    async def caller(
        request: Request,
        api_key: Annotated[str | None, Security(_api_key)] = None,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
    ) -> Caller:
        if require_user_agent and not request.headers.get("user-agent"):
            raise AccessRefused(AccessFault.NO_USER_AGENT, "Send a User-Agent header that names your program.")

        def known(caller: Caller) -> None:
            add_log_fields(request.scope, client=caller.client, user=caller.subject)

        who = await access_control.admit(
            api_key, request.headers.get("authorization"), address_of(request.scope), known
        )
        until_answered(request.scope, in_progress.place(who.client))
        require_acceptable(request)
        require_known_parameters(request)
        return who

    return caller


def _add_routes(app: FastAPI, routers: Iterable[APIRouter], metrics: Metrics) -> None:
    """Add the routes. The refusals of batches that an objective counts are there before the first one."""
    for router in routers:
        app.include_router(router)
        for route in router.routes:
            if isinstance(route, APIRoute) and "PUT" in (route.methods or ()):
                metrics.count_from_zero(route.path, "PUT", (500, 503))


def _add_middleware(app: FastAPI, settings: IntakeSettings, requests: Callable[[ASGIApp], AccessLog]) -> None:
    """Add the middleware; the last one added is the outermost."""
    app.add_middleware(HeadOptions)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, **cors_options(settings.cors_origins))
    app.add_middleware(HeaderLines, answer=_answer)
    app.add_middleware(requests)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Forwarded, root_path=settings.root_path or "", trusted_proxies=settings.trusted_proxies)


def _publish(app: FastAPI, settings: IntakeSettings, oidc: OidcSettings) -> None:
    """Publish the OpenAPI document. Raises SettingsError for a path prefix that conflicts with the service's paths."""
    publish(app, settings.require == "both", settings.root_path)
    add_public(app)
    if settings.app_page:
        add_page(app, settings, oidc)
    if settings.root_path:
        first = settings.root_path.split("/")[1]
        paths = [*app.openapi()["paths"], *(getattr(route, "path", None) or "" for route in app.routes)]
        if first in {path.split("/")[1] for path in paths if path}:
            # such a path does not show whether a proxy removed the prefix
            raise SettingsError(f"intake.root_path: must not begin with /{first}, which begins a path of the service")


async def _watch_clock(presence: Presence) -> None:
    """Check this host's clock every ten seconds while the process serves, and log faults."""
    watch = ClockWatch()
    while True:
        with suppress(StoreUnavailable):
            watch.observe(await run_sync(presence.ahead))
        await system_async_sleep(_CLOCK_LOOK)


def _application(
    completions: JobCompletions, presence: Presence, connections: Iterable[LoopStore | RateLimiter], tracer: Tracer
) -> FastAPI:
    """Make the application without routes: it listens for final jobs while it serves, and handles every error."""

    @asynccontextmanager
    async def listening(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(completions.listen()), asyncio.create_task(_watch_clock(presence))]
        yield
        for task in tasks:
            task.cancel()
        for one in connections:
            await one.close()
        await run_sync(tracer.close)

    app = FastAPI(openapi_url=None, lifespan=listening, redirect_slashes=False, telemetry=_NO_TELEMETRY, **INFO)
    app.add_exception_handler(CareCaseError, _on_care_case_error)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.state.end_waiting = completions.end
    return app


async def _on_care_case_error(request: Request, error: Exception) -> Response:
    return _answer(request, problem_of(cast(CareCaseError, error)))


async def _on_bad_parameter(request: Request, error: Exception) -> Response:
    details = cast(RequestValidationError, error).errors()
    refused = bad_parameters(request, (str(detail["loc"][-1]) for detail in details))
    return _answer(request, problem_of(refused))


async def _on_http_exception(request: Request, raised: Exception) -> Response:
    error = cast(HTTPException, raised)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = allowed(request.scope)  # the framework names the methods of one route only
        return _answer(request, problem_of_method(headers["Allow"]), headers)
    return _answer(request, problem_of_status(error.status_code), headers)


def _answer(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> Response:
    add_log_fields(request.scope, reason=problem.kind)
    content = envelope(request.scope["carecase.activity"], error=problem.members(request.url.path))
    return Response(content, problem.status, {**(headers or {}), **problem.headers}, json_type_of(request))
