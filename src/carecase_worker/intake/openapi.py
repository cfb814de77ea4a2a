"""The published description: what FastAPI cannot see by itself."""

from typing import Any

from fastapi import FastAPI

from carecase_worker.cases.care_case import CareCase
from carecase_worker.jobs.job import COUNTS

_EXAMPLE_ID = "019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77"
_EXAMPLE_CASE = {"case_Key": 37, "carePlan_Key": 5, "do_Not_Contact": False, "case_Status": "OPEN"}
_EXAMPLE_JOB = {
    "jobId": _EXAMPLE_ID,
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
    "submittedAt": "2026-11-25T08:00:00.000Z",
    "startedAt": None,
    "finishedAt": None,
    "expiresAt": None,
    "links": {"self": f"/jobs/{_EXAMPLE_ID}", "result": f"/jobs/{_EXAMPLE_ID}/result"},
}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(description: str, schema: str, example: Any = None, headers: tuple[str, ...] = ()) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _ref(schema)}
    if example is not None:
        content["example"] = example
    return {
        "description": description,
        "content": {"application/json": content},
        "headers": {name: {"schema": {"type": "string"}} for name in headers},
    }


def _problem(description: str) -> dict[str, Any]:
    return _answer(description, "ProblemEnvelope")


_DEBUG = {"activityID": _EXAMPLE_ID}
_ACCEPTED = _answer(
    "The batch cannot be lost any more; poll the job",
    "AcceptedEnvelope",
    {"data": None, "error": None, "debug": _DEBUG, "job": _EXAMPLE_JOB},
    ("Location", "Retry-After"),
)
_COMMON: dict[int | str, dict[str, Any]] = {
    401: _problem("Credentials are missing or not valid"),
    429: _answer("The client asks too often; again after Retry-After", "ProblemEnvelope", headers=("Retry-After",)),
    431: _problem("The request's line and headers are too large"),
    500: _problem("The service failed"),
    503: _problem("Redis is away, or the backlog is full; nothing was kept"),
}
ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: _ACCEPTED,
    400: _problem("Not JSON, not an array, empty, or no database named"),
    403: _problem("The database does not exist, or it is not granted"),
    413: _problem("Too many items, or too large"),
    415: _problem("Media type or encoding is none of ours"),
    422: _problem("The Idempotency-Key came with another batch before"),
    **_COMMON,
}
_JOB_GONE: dict[int | str, dict[str, Any]] = {
    404: _problem("There is no such job, or it is somebody else's"),
    410: _problem("The job has expired"),
    **_COMMON,
}
JOB: dict[int | str, dict[str, Any]] = {
    200: _answer(
        "The job", "JobEnvelope", {"data": _EXAMPLE_JOB, "error": None, "debug": _DEBUG}, ("ETag", "Retry-After")
    ),
    304: {"description": "The job is as If-None-Match says"},
    **_JOB_GONE,
}
RESULT: dict[int | str, dict[str, Any]] = {
    202: _ACCEPTED,
    207: _answer(
        "What became of each item, in order",
        "MultiCodeResponse",
        {
            "data": [{"id": [{"key": "case_Key", "value": 37}], "status": 201, "body": "Created"}],
            "error": None,
            "debug": _DEBUG,
        },
    ),
    **_JOB_GONE,
}
CANCELLED: dict[int | str, dict[str, Any]] = {
    202: _ACCEPTED,
    409: _problem("The job is final"),
    **_JOB_GONE,
}
RETRIED: dict[int | str, dict[str, Any]] = {
    202: _ACCEPTED,
    409: _problem("The job is not final, or none of its items failed for a reason outside itself"),
    422: _problem("The Idempotency-Key came with another batch before"),
    **_JOB_GONE,
}

_ARRAY_OF_CASES = {"schema": {"type": "array", "minItems": 1, "items": _ref("CareCase")}, "example": [_EXAMPLE_CASE]}
BATCH: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": _ARRAY_OF_CASES,
            "text/json": _ARRAY_OF_CASES,
            "application/*+json": _ARRAY_OF_CASES,
            "application/x-ndjson": {"schema": {"type": "string", "description": "One CareCase a line"}},
        },
    }
}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_MOMENT = {"type": "string", "format": "date-time"}
_COUNTS = ("total", "processed", *COUNTS)
_DEBUG_SCHEMA = _object(("activityID",), activityID={"type": "string", "format": "uuid"})


def _schemas() -> dict[str, Any]:
    job = _object(
        tuple(_EXAMPLE_JOB),
        jobId={"type": "string", "format": "uuid"},
        state={"enum": ["queued", "running", "waiting", "cancelling", "completed", "cancelled"]},
        database=_TEXT,
        carePlanKey=_nullable({"type": "integer", "format": "int32"}),
        **dict.fromkeys(_COUNTS, _COUNT),
        bodySha256=_TEXT,
        submittedAt=_MOMENT,
        **{name: _nullable(_MOMENT) for name in ("startedAt", "finishedAt", "expiresAt")},
        links=_object(("self", "result"), self=_TEXT, result=_TEXT),
    )
    error = _object(
        ("type", "title", "status", "detail", "instance"),
        type=_TEXT,
        title=_TEXT,
        status={"type": "integer"},
        detail=_TEXT,
        instance=_TEXT,
    )
    key = _object(("key", "value"), key=_TEXT, value=_nullable({"type": "integer", "format": "int32"}))
    item = _object(
        ("id", "status", "body"),
        id={"type": "array", "items": _ref("MultiCodeResponseKey")},
        status={"type": "integer"},
        body=_TEXT,
    )
    case = CareCase.model_json_schema()
    for described in case["properties"].values():
        described.pop("default", None)
        for option in (described, *described.get("anyOf", ())):
            option.pop("pattern", None)
    return {
        "CareCase": case,
        "Job": job,
        "Problem": error,
        "MultiCodeResponseKey": key,
        "MultiCodeResponseItem": item,
        "MultiCodeResponse": _envelope({"type": "array", "items": _ref("MultiCodeResponseItem")}),
        "JobEnvelope": _envelope(_ref("Job")),
        "AcceptedEnvelope": _envelope({"type": "null"}, job=_ref("Job")),
        "ProblemEnvelope": _envelope({"type": "null"}, error=_ref("Problem")),
    }


def _envelope(data: dict[str, Any], error: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return _object(
        ("data", "error", "debug", *members),
        data=data,
        error=error or {"type": "null"},
        debug=_DEBUG_SCHEMA,
        **members,
    )


def publish(app: FastAPI) -> None:
    """Have `app` serve its description with the schemas that its answers name."""
    from_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        described = from_fastapi()
        schemas = described.setdefault("components", {}).setdefault("schemas", {})
        if "CareCase" not in schemas:
            schemas.update(_schemas())
            for path in described["paths"].values():
                for operation in path.values():
                    _drop_fastapis_own_errors(operation)
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
        return described

    app.openapi = openapi  # type: ignore[method-assign]


def _drop_fastapis_own_errors(operation: dict[str, Any]) -> None:
    """FastAPI describes a 422 of its own wherever there is a parameter; ours are problems."""
    content = operation["responses"].get("422", {}).get("content", {}).get("application/json", {})
    if content.get("schema") == _ref("HTTPValidationError"):
        del operation["responses"]["422"]
