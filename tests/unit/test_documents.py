"""What is sent, to the byte where the contract says so."""

import json
from datetime import UTC, datetime

import pytest

from carecase_worker.cases.outcome import CANCELLED, CREATED, REFUSED, SUPERSEDED, UNAVAILABLE, UPDATED, Kind, Outcome
from carecase_worker.errors import BatchFault, BatchRefused, FailureKind, TargetFailure
from carecase_worker.intake.documents import indexed_items, items, job_tag, multi_status, retry_after
from carecase_worker.intake.problems import problem_of, problem_of_status
from carecase_worker.jobs.chunks import ChunkOutcomes
from carecase_worker.jobs.job import job_from_record
from carecase_worker.jobs.verdicts import Pace

EPOCH = datetime.fromtimestamp(0, UTC)


def test_the_multi_status_answers_each_item_in_order() -> None:
    awkward = 'case_ID: "quoted" 100 % \\ back'
    chunks = [
        ChunkOutcomes([1, 2, None], [CREATED, CREATED, Outcome(Kind.INVALID, awkward)]),
        ChunkOutcomes([4, 5, 6, 7, -8], [UPDATED, SUPERSEDED, CANCELLED, REFUSED, UNAVAILABLE]),
    ]
    pieces = [items(chunk.keys, chunk.outcomes) for chunk in chunks]
    document = json.loads(b"".join(multi_status("the-job", pieces)))
    told = [(item["id"][0]["value"], item["status"], item["body"]) for item in document["data"]]
    assert told == [
        (1, 201, "Created"),
        (2, 201, "Created"),
        (None, 422, awkward),
        (4, 200, "Updated"),
        (5, 200, "Superseded"),
        (6, 409, "Cancelled"),
        (7, 500, REFUSED.body),
        (-8, 503, UNAVAILABLE.body),
    ]
    assert {item["id"][0]["key"] for item in document["data"]} == {"case_Key"}
    assert (document["error"], document["debug"]) == (None, {"activityID": "the-job"})


def test_an_item_of_a_page_tells_its_place_in_the_batch() -> None:
    told = [(7, 1, CREATED), (8, None, CREATED), (2000, 3, REFUSED)]
    document = json.loads(b"".join(multi_status("the-job", [indexed_items(told)])))
    assert [(item["index"], item["id"][0]["value"], item["status"]) for item in document["data"]] == [
        (7, 1, 201),
        (8, None, 201),
        (2000, 3, 500),
    ]


def test_a_job_whose_sequence_changes_gets_another_tag() -> None:
    record = {
        "state": "queued", "client": "c", "user": "u", "database": "d", "care_plan": "", "seq": "7", "accepted_us": "1",
        "total": "1", "sha256": "", "strict": "",
    }  # fmt: skip
    jobs = [
        job_from_record("j", {**record, **more}, EPOCH)
        for more in ({}, {"unsettled": "1"}, {"seq": "8"}, {"total": "1"})
    ]
    open_, unsettled, moved, same = map(job_tag, jobs)
    assert len({open_, unsettled, moved}) == 3
    assert same == open_


def test_a_multi_status_without_items_is_a_document() -> None:
    assert json.loads(b"".join(multi_status("the-job", [])))["data"] == []


@pytest.mark.parametrize(
    ("open_items", "rate", "seconds"), [(0, 0, "1"), (10, 5000, "1"), (100_000, 10_000, "10"), (10**9, 10, "60")]
)
def test_retry_after_is_the_work_ahead_at_the_rate_measured(open_items: int, rate: int, seconds: str) -> None:
    assert retry_after(Pace(open_items, rate)) == seconds


@pytest.mark.parametrize("fault", BatchFault)
def test_every_fault_of_a_request_is_a_problem_of_the_callers(fault: BatchFault) -> None:
    problem = problem_of(BatchRefused(fault, "what to do"))
    assert 400 <= problem.status < 500
    assert problem.detail == "what to do"


def test_what_is_not_meant_for_callers_is_not_told_them() -> None:
    assert problem_of(TargetFailure(FailureKind.AWAY)).status == 500
    assert "target" not in problem_of(TargetFailure(FailureKind.AWAY)).detail
    assert problem_of_status(405).members("/x")["title"] == "Method Not Allowed"
