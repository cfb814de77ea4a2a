"""The OpenAPI document: the parts that FastAPI cannot derive."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI

from carecase_worker.intake.http.problems import example_of
from carecase_worker.intake.http.requests.negotiation import ENCODINGS, EVENT_STREAM, JSON_TYPES
from carecase_worker.intake.openapi.descriptions import OPERATIONS
from carecase_worker.intake.openapi.file_descriptions import ACKNOWLEDGEMENT, MAPPING
from carecase_worker.intake.openapi.schemas import ref, schemas

Answers = dict[int, dict[str, Any]]

_ID = "019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77"
_DEBUG = {"activityID": _ID}
_QUEUED: dict[str, Any] = {
    "jobId": _ID,
    "state": "queued",
    "database": "demo",
    "carePlanKey": 5,
    "total": 1,
    "processed": 0,
    "created": 0,
    "updated": 0,
    "superseded": 0,
    "failed": 0,
    "cancelled": 0,
    "bodySha256": "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
    "sequence": 1795593600000,
    "submittedAt": "2026-11-25T08:00:00.000000Z",
    "startedAt": None,
    "finishedAt": None,
    "expiresAt": None,
    "links": {"self": f"/jobs/{_ID}", "result": f"/jobs/{_ID}/result"},
}
_COMPLETED = _QUEUED | {
    "state": "completed",
    "processed": 1,
    "created": 1,
    "startedAt": "2026-11-25T08:00:00.004120Z",
    "finishedAt": "2026-11-25T08:00:00.012345Z",
    "expiresAt": "2026-12-02T08:00:00.012000Z",
}
_ITEM = {"id": [{"key": "case_Key", "value": 37}], "status": 201, "body": "Created"}

_EVENTS = {
    "schema": {"type": "string"},
    "example": f"retry: 2000\nid: none\n\nid: end\nevent: final\ndata: {json.dumps(_COMPLETED)}\n\n",
}

_HEADERS: Mapping[str, tuple[str, str]] = {
    "Location": ("URL of the job", f"/jobs/{_ID}"),
    "Retry-After": ("Whole seconds, from 1 to 60, until the next poll makes sense", "1"),
    "Preference-Applied": ("The preferences of the request that were honoured; left out if none", "wait=10"),
    "ETag": ("The version of the job document, for If-None-Match", '"completed-1-1764000000000"'),
    "x-pagination": (
        "The page, if one was requested",
        '{"TotalCount":1,"TotalPages":1,"CurrentPage":1,"PageSize":100}',
    ),
    "WWW-Authenticate": ("How to authenticate", "Bearer"),
    "Accept": ("The supported media types, if that of the request is not supported", "application/json"),
    "Accept-Encoding": ("The supported encodings, if that of the request is not supported", ", ".join(ENCODINGS)),
}
_LINKS = {
    name: {"operationId": name, "parameters": {"jobId": "$response.body#/job/jobId"}, "description": text}
    for name, text in (
        ("GetJob", "State of the job"),
        ("GetJobResult", "What became of each item"),
        ("CancelJob", "Cancel items that have not been applied"),
        ("RetryJob", "Retry items that failed for a reason other than their content"),
    )
}


def _answer(description: str, schema: str, example: Any, *headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {kind: {"schema": ref(schema), "example": example} for kind in JSON_TYPES},
        "headers": _described(*headers),
    }


def _described(*names: str) -> dict[str, Any]:
    return {
        name: {"description": _HEADERS[name][0], "schema": {"type": "string"}, "example": _HEADERS[name][1]}
        for name in names
    }


def _problem(status: int, description: str, *headers: str) -> dict[str, Any]:
    example = {"data": None, "error": example_of(status, description), "debug": _DEBUG}
    return _answer(description, "ProblemEnvelope", example, *headers)


def _envelope(data: Any, **members: Any) -> dict[str, Any]:
    return {"data": data, "error": None, "debug": _DEBUG, **members}


def _problems(texts: Mapping[int, str]) -> Answers:
    more = {
        401: ("WWW-Authenticate",),
        415: ("Accept", "Accept-Encoding"),
        429: ("Retry-After",),
        503: ("Retry-After",),
    }
    return {status: _problem(status, text, *more.get(status, ())) for status, text in texts.items()}


_COMMON = {
    400: "A parameter or a header is not valid",
    401: "Credentials are missing or not valid",
    403: "The client is not allowed to do this",
    406: "The client accepts none of the response types",
    429: "The client exceeds its rate limit",
    431: "The request's line and headers are too large",
    500: "The service failed",
    503: "Redis is unreachable, or the backlog is full; nothing was stored",
}
_NO_ROOM = {507: "Jobs and results reach the storage limit; purge some, or wait until they expire"}
_JOB_GONE = {
    404: "There is no such job, or it belongs to another client",
    410: "The job has expired",
    **_COMMON,
}
_ACCEPTED = {
    **_answer(
        "The batch can no longer be lost; poll the job",
        "AcceptedEnvelope",
        _envelope(None, job=_QUEUED),
        "Location",
        "Retry-After",
        "Preference-Applied",
    ),
    "links": _LINKS,
}
_NOT_YET = {**_ACCEPTED, "description": "The job is not final; poll again"}
_MULTI_STATUS = _answer(
    "Outcome of each item, in order",
    "MultiCodeResponseListVBAResponse",
    _envelope([_ITEM]),
    "Preference-Applied",
)
_MULTI_STATUS["content"] |= ACKNOWLEDGEMENT
_REUSED = "The Idempotency-Key was used with another batch before"

_OF_BATCH: Answers = {
    202: _ACCEPTED,
    207: {**_MULTI_STATUS, "description": "The job became final in time (Prefer: wait), or validateOnly"},
    **_problems(
        {
            408: "The body did not arrive in time",
            413: "Too many items, or too large",
            415: "Media type or encoding that is not supported",
            422: f"{_REUSED}, it is too large for handling=strict, or the mapping is not for it",
            **_COMMON,
            **_NO_ROOM,
            400: "Not JSON, not an array, a bad file, empty, no database named, or a parameter or a header is not"
            " described",
            403: "The database does not exist, or the client may not use it",
        }
    ),
}
_OF_MAPPINGS: Answers = {
    200: _answer("The mappings", "MappingListEnvelope", _envelope([MAPPING])),
    **_problems(_COMMON),
}
_OF_LIST: Answers = {
    200: _answer("One page of jobs", "JobListEnvelope", _envelope([_COMPLETED]), "x-pagination"),
    **_problems(_COMMON),
}
_OF_JOB: Answers = {
    200: _answer("The job", "JobEnvelope", _envelope(_COMPLETED), "ETag", "Retry-After", "Preference-Applied"),
    304: {
        "description": "The job has not changed (If-None-Match)",
        "headers": _described("ETag", "Preference-Applied"),
    },
    **_problems(_JOB_GONE),
}
_OF_RESULT: Answers = {
    202: _NOT_YET,
    207: {**_MULTI_STATUS, "headers": _described("Preference-Applied", "x-pagination", "Retry-After")},
    **_problems(_JOB_GONE),
}
_OF_EVENTS: Answers = {
    200: {"description": "The events, as they happen", "content": {EVENT_STREAM: _EVENTS}},
    **_problems(_COMMON),
}
_OF_JOB_EVENTS: Answers = {
    **_OF_EVENTS,
    204: {"description": "The job is final, and Last-Event-ID is its last event: do not reconnect"},
    **_problems(_JOB_GONE),
}
_OF_CANCEL: Answers = {
    202: {**_ACCEPTED, "description": "The items that have not been applied are being cancelled"},
    204: {"description": "The job is purged (purge=true): from now on it has expired"},
    **_problems({409: "The job is final; or, with purge=true, it is not", **_JOB_GONE}),
}
_OF_RETRY: Answers = {
    202: {**_ACCEPTED, "description": "A new job of the items that failed for a reason other than their content"},
    **_problems(
        {
            409: "The job is not final, or none of its items can be retried",
            422: _REUSED,
            **_JOB_GONE,
            **_NO_ROOM,
        }
    ),
}

_OF_ANYBODY = _problems({431: _COMMON[431]})
_STANDING = {"databases": {"away": 1, "reasons": ["connection"]}}
_READY = {"status": "ok", "checks": {"redis": "ok", "workers": "ok"}} | _STANDING
_NO_WORKER = "none was seen within ten seconds: start carecase worker"
_NOT_READY = {"status": "not ready", "checks": {"redis": "ok", "workers": _NO_WORKER}} | _STANDING
_READINESS: Answers = {
    status: {
        "description": text,
        "content": {"application/json": {"schema": ref("Readiness"), "example": example}},
    }
    for status, text, example in (
        (200, "Batches are accepted and applied", _READY),
        (503, "Redis or the workers are unreachable; `checks` says which", _NOT_READY),
    )
} | _OF_ANYBODY
_ALIVE: Answers = {
    200: {"description": "This process answers", "content": {"application/json": {"example": {"status": "ok"}}}},
    **_OF_ANYBODY,
}
_TEXT = {"schema": {"type": "string"}, "example": "carecase_store_up 1.0\n"}
_METRICS: Answers = {
    200: {"description": "The metrics", "content": {"text/plain": _TEXT}},
    **_OF_ANYBODY,
}

_ANSWERS: Mapping[str, Answers] = {
    "UpdateBatchCareCase": _OF_BATCH,
    "UpdateBatchCareCaseOfAnyCarePlan": _OF_BATCH,
    "ListMappings": _OF_MAPPINGS,
    "ListJobs": _OF_LIST,
    "GetJob": _OF_JOB,
    "GetJobResult": _OF_RESULT,
    "ListJobEvents": _OF_EVENTS,
    "GetJobEvents": _OF_JOB_EVENTS,
    "CancelJob": _OF_CANCEL,
    "RetryJob": _OF_RETRY,
    "Livez": _ALIVE,
    "Readyz": _READINESS,
    "Metrics": _METRICS,
}
"""All responses of all operations. They are added last, since FastAPI would drop the nulls of examples."""


def publish(app: FastAPI, both_credentials: bool, root_path: str | None) -> None:
    """Extend the description of `app` by texts, responses and the schemas that they refer to."""
    from_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        described = from_fastapi()
        described.setdefault("servers", [{"url": root_path or "/"}])
        existing = described.setdefault("components", {}).setdefault("schemas", {})
        if "CareCase" not in existing:
            existing.update(schemas())
            for operation in (each for path in described["paths"].values() for each in path.values()):
                name = operation["operationId"]
                operation["description"] = OPERATIONS[name]
                answers = _ANSWERS[name]
                operation["responses"] = {str(status): answer for status, answer in answers.items()}
                _say_what_parameters_are(operation.get("parameters", ()))
                _say_who_may_call(operation, both_credentials)
            for name in ("HTTPValidationError", "ValidationError"):
                existing.pop(name, None)
        return described

    app.openapi = openapi  # type: ignore[method-assign]


def _say_who_may_call(operation: dict[str, Any], both_credentials: bool) -> None:
    """Set the credentials of an operation; an empty list if it needs none."""
    if both_credentials and "security" in operation:
        operation["security"] = [{"apiKeyAuth": [], "bearerAuth": []}]
    operation.setdefault("security", [])


def _say_what_parameters_are(parameters: Iterable[dict[str, Any]]) -> None:
    """Remove null from the schemas of parameters, and mark vbasoftware-database as required.

    Header and query text cannot be null. FastAPI considers the database optional, because we raise the error ourselves.
    """
    for parameter in parameters:
        options = parameter["schema"].pop("anyOf", [{}])
        parameter["schema"] |= options[0]
        parameter["required"] = parameter["required"] or parameter["name"] == "vbasoftware-database"
