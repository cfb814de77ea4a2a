"""The access log says who sent a batch and who read its result, and shows no case."""

import json
from pathlib import Path
from typing import Any

from tests.acceptance.privacy.marked_cases import marked
from tests.acceptance.system import System, eventually
from tests.collector import a_traceparent

PAGE = Path(__file__).parents[3] / "docs" / "privacy.md"


def by_status(system: System, job_id: str) -> dict[int, dict[str, Any]]:
    """The lines about a job in the access log."""
    logged = (Path(system.data_dir) / "logs" / "intake.log").read_text().splitlines()
    lines = [json.loads(line) for line in logged if line.startswith("{") and job_id in line]
    return {line["status"]: line for line in lines if line["event"] == "request"}


def test_the_access_log_says_who_sent_what_and_who_read_it(system: System) -> None:
    body = json.dumps([marked(30), marked(31)]).encode()
    with system.client("other", "demo") as client:
        given = {"content-type": "text/json", "traceparent": str(a_traceparent(1))}
        sent = client.put("/care-cases-batch", content=body, headers=given)
        job_id = sent.json()["job"]["jobId"]
        eventually(lambda: client.get(f"/jobs/{job_id}").json()["data"]["state"] == "completed")
        result = client.get(f"/jobs/{job_id}/result", headers={"Accept-Encoding": "identity"})
    with system.client("demo") as stranger:
        assert stranger.get(f"/jobs/{job_id}/result").status_code == 404
    lines = eventually(lambda: (found := by_status(system, job_id)) and {202, 207, 404} <= set(found) and found)
    assert {
        "client": "other",
        "user": "other",
        "method": "PUT",
        "route": "/care-cases-batch",
        "status": 202,
        "database": "demo",
        "items": 2,
        "bytes": len(body),
        "trace_id": a_traceparent(1).trace_id,
    }.items() <= lines[202].items()
    (documented,) = [line for line in PAGE.read_text().splitlines() if line.startswith('{"event"')]
    assert set(lines[202]) == set(json.loads(documented)), "the page shows the line as it is"
    read = {"client": "other", "method": "GET", "route": "/jobs/{jobId}/result", "status": 207, "database": "demo"}
    assert {**read, "items": 2, "bytes_sent": len(result.content)}.items() <= lines[207].items()
    refused = {"client": "demo", "route": "/jobs/{jobId}/result", "status": 404, "reason": "job-not-found"}
    assert refused.items() <= lines[404].items()
    assert "database" not in lines[404], "nothing was told of the job"
