"""The schemas of the OpenAPI document, with the contract's names where it has them."""

from typing import Any

from carecase_worker.cases.care_case import CareCase
from carecase_worker.cases.outcomes import Kind
from carecase_worker.store.job import COUNTS

_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_MOMENT = {"type": "string", "format": "date-time"}
_KEY = {"type": "integer", "format": "int32"}
_ID = {"type": "string", "format": "uuid"}


def ref(name: str) -> dict[str, str]:
    """Return a reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas() -> dict[str, Any]:
    """Return every schema, by name."""
    list_of_items = {"type": "array", "items": ref("MultiCodeResponse")}
    return {
        "CareCase": _care_case(),
        "Job": _job(),
        "Problem": _problem(),
        "KeyValuePair": _object(("key", "value"), key=_TEXT, value=_nullable(_KEY)),
        "MultiCodeResponse": _item(),
        "MultiCodeResponseListVBAResponse": _envelope(list_of_items),
        "JobEnvelope": _envelope(ref("Job")),
        "JobListEnvelope": _envelope({"type": "array", "items": ref("Job")}),
        "Mapping": _mapping(),
        "MappingListEnvelope": _envelope({"type": "array", "items": ref("Mapping")}),
        "AcceptedEnvelope": _envelope({"type": "null"}, job=ref("Job")),
        "ProblemEnvelope": _envelope({"type": "null"}, error=ref("Problem")),
        "Readiness": _object(
            ("status", "checks", "databases"), status=_TEXT, checks={"type": "object"}, databases={"type": "object"}
        ),
    }


def _care_case() -> dict[str, Any]:
    case = CareCase.model_json_schema()
    for described in case["properties"].values():
        described.pop("default", None)
        for option in (described, *described.get("anyOf", ())):
            option.pop("pattern", None)
    return case


_SEQUENCE = "Grows with each batch of a database; null while the continuation of its order of acceptance is unknown"


_STRICT = "True if all items are applied or none; no other job has this member"
_DRY_RUN = "True for a dry run, which is rolled back; no other job has this member"
_SAW_SEQUENCE = (
    "Of a final dry run: every batch of the database up to this sequence was final when the dry run began, so that it"
    " saw what they did"
)


def _job() -> dict[str, Any]:
    return _object(
        ("jobId", "state", "database", "carePlanKey", "total", "processed", *COUNTS, "bodySha256", "sequence",
         "submittedAt", "startedAt", "finishedAt", "expiresAt", "links"),
        jobId=_ID,
        state=ref("State"),
        database=_TEXT,
        carePlanKey=_nullable(_KEY),
        **dict.fromkeys(("total", "processed", *COUNTS), _COUNT),
        bodySha256={"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"},
        sequence=_nullable({"type": "integer", "format": "int64", "description": _SEQUENCE}),
        strict={"type": "boolean", "description": _STRICT},
        dryRun={"type": "boolean", "description": _DRY_RUN},
        sawSequence=_nullable({"type": "integer", "format": "int64", "description": _SAW_SEQUENCE}),
        submittedAt=_MOMENT,
        **{name: _nullable(_MOMENT) for name in ("startedAt", "finishedAt", "expiresAt")},
        links=_object(("self", "result"), self=_TEXT, result=_TEXT),
    )  # fmt: skip


def _mapping() -> dict[str, Any]:
    lines = {"skippedLines": "Lines before the header row, or before the first row that counts",
             "skippedLastLines": "Rows at the end that are no items, such as totals"}  # fmt: skip
    return _object(
        ("name", "mediaType", "encoding", "delimiter", "hasHeader", *lines),
        name=_TEXT,
        mediaType={**_TEXT, "description": "What to send such a file as"},
        encoding={**_TEXT, "description": "The encoding of such a file, if the media type names no charset"},
        delimiter=_nullable({**_TEXT, "minLength": 1, "maxLength": 1, "description": "What is between two cells"}),
        hasHeader={"type": "boolean", "description": "True if the file begins with a header row"},
        **{name: {**_COUNT, "description": text} for name, text in lines.items()},
    )


def _problem() -> dict[str, Any]:
    words = dict.fromkeys(("type", "title", "detail", "instance"), _TEXT)
    return _object(("type", "title", "status", "detail", "instance"), **words, status={"type": "integer"})


def _item() -> dict[str, Any]:
    return _object(
        ("id", "status", "body"),
        id={"type": "array", "items": ref("KeyValuePair")},
        status={"type": "integer", "enum": sorted({kind.status for kind in Kind})},
        body=_TEXT,
        index={**_COUNT, "description": "The item's index in the batch, if a page or an outcome was requested"},
        changes={"type": "array", "items": _TEXT, "description": "In a dry run, the fields that would change"},
        line={"type": "integer", "minimum": 1, "description": "The line where the item's row begins, in a file"},
    )


def _envelope(data: dict[str, Any], error: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return _object(
        ("data", "error", "debug", *members),
        data=data,
        error=error or {"type": "null"},
        debug=_object(("activityID",), activityID=_ID),
        **members,
    )


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
