"""`carecase events`: each event as a line, and how it ends, by what became of the job."""

import json
from typing import Any

import pytest
from tests.integration.cli.commands import Carecase, ctrl_c_at
from tests.peers import JOB, Reply, a_job, answering

PROGRESS = a_job("running", 5000, processed=1200, created=1200)
RUNS = [
    {"index": 0, "count": 1200, "status": 201, "body": "Created"},
    {"index": 1200, "count": 1, "status": 422, "body": "case_ID: must be \x1b[2Ja string"},
    {"index": 1201, "count": 2, "status": 200, "body": "Would be updated", "changes": ["case_ID", "case_Status"]},
]
APPLIED, SOME_FAILED = {"created": 5000}, {"created": 4999, "failed": 1}
CANCELLED = {"state": "cancelled", "created": 4999, "cancelled": 1}


def stream(last: dict[str, Any] | None) -> Reply:
    """The events of a job; without a last state, the connection ends before that."""
    events = [("progress", PROGRESS), ("outcomes", {"runs": RUNS})]
    if last is not None:
        events.append(("final", a_job(**{"total": 5000, **last})))
    text = "".join(
        f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n" for number, (name, data) in enumerate(events)
    )
    return Reply(200, f"retry: 1\n\n{text}".encode(), {"Content-Type": "text/event-stream"})


LINES = f"""\
job {JOB} running: 1,200 of 5,000 (1,200 created, 0 updated, 0 superseded, 0 failed, 0 cancelled)
items 0 to 1,199: 201 Created
item 1,200: 422 case_ID: must be \\x1b[2Ja string
items 1,201 to 1,202: 200 Would be updated: case_ID, case_Status
job {JOB} completed: 5,000 of 5,000 (5,000 created, 0 updated, 0 superseded, 0 failed, 0 cancelled)
"""


def test_each_event_is_a_line_and_what_a_service_says_is_no_command_to_the_terminal(carecase: Carecase) -> None:
    with answering(stream(APPLIED)) as peer:
        ran = carecase("events", JOB, "--url", peer.url)
    assert (ran.status, ran.out, ran.err) == (0, LINES, "")
    assert peer.calls == [f"GET /jobs/{JOB}/events"]


def test_for_scripts_each_event_is_a_document_in_one_line(carecase: Carecase) -> None:
    with answering(stream(APPLIED)) as peer:
        ran = carecase("events", JOB, "--json", "--no-outcomes", "--url", peer.url)
    assert peer.calls == [f"GET /jobs/{JOB}/events?outcomes=false"]
    progress, outcomes, final = (json.loads(line) for line in ran.out.splitlines())
    assert [one["event"] for one in (progress, outcomes, final)] == ["progress", "outcomes", "final"]
    assert set(progress) == set(final) == {"event", "job"}
    assert progress["job"].items() >= PROGRESS.items()
    assert [{name: run[name] for name in one} for run, one in zip(outcomes["runs"], RUNS, strict=True)] == RUNS
    assert set(outcomes) == {"event", "runs"}


@pytest.mark.parametrize(("last", "status"), [(APPLIED, 0), (SOME_FAILED, 1), (CANCELLED, 1)], ids=str)
def test_it_ends_with_what_became_of_the_job(carecase: Carecase, last: dict[str, Any], status: int) -> None:
    with answering(stream(last)) as peer:
        assert carecase("events", JOB, "--url", peer.url).status == status


def test_ctrl_c_keeps_what_was_shown_and_says_that_the_job_continues(carecase: Carecase) -> None:
    with answering(stream(None), Reply(200, silence_s=300)) as peer, ctrl_c_at(peer, 2):
        ran = carecase("events", JOB, "--url", peer.url)
    advice = f"It continues by itself. To watch it: carecase status {JOB} --watch\n"
    assert (ran.status, ran.out, ran.err) == (130, "".join(LINES.splitlines(keepends=True)[:-1]), advice)
