"""Answers of the intake, whole, as the contract has them."""

import re
from typing import Any
from uuid import UUID

import httpx

GUARDED = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
JSON = {"content-type": "application/json"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
NEVER = UUID(int=7 << 76 | 2 << 62)


def require(response: httpx.Response, status: int, headers: dict[str, str], document: Any) -> None:
    """Fail unless an answer is exactly this. Its `Date` may be any, and its length is that of its body."""
    actual = dict(response.headers)
    assert actual.pop("date").endswith(" GMT")
    if actual.get("transfer-encoding") == "chunked":
        del actual["transfer-encoding"]
    elif status not in (204, 304):
        assert int(actual.pop("content-length")) == len(response.content)
    assert response.status_code == status, response.text
    assert actual == {**GUARDED, **headers}
    assert (response.json() if response.content else None) == document


def problem(response: httpx.Response, kind: str, title: str, detail: str, instance: str) -> dict[str, Any]:
    """The envelope of a problem."""
    activity = response.json()["debug"]["activityID"]
    assert UUID(activity).version == 7
    members = {"type": f"urn:carecase:problem:{kind}", "title": title, "status": response.status_code}
    error = {**members, "detail": detail, "instance": instance}
    return {"data": None, "error": error, "debug": {"activityID": activity}}


def job_of(members: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The document of a job that was sent by `Intake.send` without more; what only it can know is taken from it."""
    job_id, path = members["jobId"], f"/jobs/{members['jobId']}"
    assert UUID(job_id).version == 7
    assert isinstance(members["sequence"], int) or changes.get("database") == "third"
    assert re.fullmatch("[0-9a-f]{64}", members["bodySha256"])
    moments = {name: members[name] for name in ("submittedAt", "startedAt", "finishedAt", "expiresAt")}
    final = changes.get("state") in ("completed", "cancelled")
    assert [moment is not None for moment in moments.values()] == [True, final, final, final]
    assert all(moment is None or MOMENT.fullmatch(moment) for moment in moments.values())
    counts = dict.fromkeys(("processed", "created", "updated", "superseded", "failed", "cancelled"), 0)
    return {
        "jobId": job_id,
        "state": "queued",
        "database": "demo",
        "carePlanKey": None,
        "total": 1,
        **counts,
        "bodySha256": members["bodySha256"],
        "sequence": members["sequence"],
        **moments,
        "links": {"self": path, "result": f"{path}/result"},
        **changes,
    }


def accepted(response: httpx.Response, **changes: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and document of a 202."""
    job = response.json()["job"]
    assert 1 <= int(response.headers["retry-after"]) <= 60
    headers = {**JSON, "location": f"/jobs/{job['jobId']}", "retry-after": response.headers["retry-after"]}
    envelope = {"data": None, "error": None, "debug": {"activityID": job["jobId"]}}
    return headers, {**envelope, "job": job_of(job, **changes)}


def item(key: int | None, status: int, text: str, **more: int) -> dict[str, Any]:
    return {"id": [{"key": "case_Key", "value": key}], "status": status, "body": text, **more}


def multi_status(job_id: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"data": list(items), "error": None, "debug": {"activityID": job_id}}
