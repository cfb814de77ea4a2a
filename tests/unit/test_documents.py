"""What is sent, to the byte where the contract says so."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from carecase_worker.batches.payloads import ChunkOutcomes
from carecase_worker.cases.outcomes import (
    CANCELLED,
    CREATED,
    REFUSED,
    SUPERSEDED,
    UNAVAILABLE,
    UNCHANGED,
    UPDATED,
    WOULD_CREATE,
    Kind,
    Outcome,
    would_update,
)
from carecase_worker.errors import (
    AccessFault,
    AccessRefused,
    BacklogFull,
    BatchFault,
    BatchRefused,
    CareCaseError,
    FailureKind,
    JobConflict,
    JobExpired,
    JobNotFound,
    KeysUnavailable,
    PayloadUnreadable,
    RateExceeded,
    SettingsError,
    StoreUnavailable,
    TargetFailure,
)
from carecase_worker.intake.http.problems import UNEXPECTED, Problem, problem_of, problem_of_status
from carecase_worker.intake.jobs.documents import indexed_items, items, job_document, job_tag, multi_status, retry_after
from carecase_worker.store.job import job_from_record
from carecase_worker.store.operations.throughput import Throughput

EPOCH = datetime.fromtimestamp(0, UTC)


def test_a_dry_run_names_the_fields_that_would_change() -> None:
    chunk = ChunkOutcomes([1, 2, 3], [WOULD_CREATE, would_update(("case_ID", "case_Score")), UNCHANGED])
    whole = json.loads(b"[" + items(chunk.keys, chunk.outcomes) + b"]")
    assert [(item["status"], item["body"], item.get("changes")) for item in whole] == [
        (201, "Would be created", None),
        (200, "Would be updated", ["case_ID", "case_Score"]),
        (200, "Unchanged", []),
    ]
    page = json.loads(b"[" + indexed_items([(7, 2, chunk.outcomes[1])]) + b"]")
    assert page == [{**whole[1], "index": 7}]


def test_the_multi_status_answers_each_item_in_order() -> None:
    awkward = 'case_ID: "quoted" 100 % \\ back'
    chunks = [
        ChunkOutcomes([1, 2, None], [CREATED, CREATED, Outcome(Kind.INVALID, awkward)]),
        ChunkOutcomes([4, 5, 6, 7, -8], [UPDATED, SUPERSEDED, CANCELLED, REFUSED, UNAVAILABLE]),
    ]
    pieces = [items(chunk.keys, chunk.outcomes) for chunk in chunks]
    document = json.loads(b"".join(multi_status("the-job", pieces)))
    outcomes = [(item["id"][0]["value"], item["status"], item["body"]) for item in document["data"]]
    assert outcomes == [
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


def test_an_item_of_a_page_has_its_place_in_the_batch() -> None:
    outcomes = [(7, 1, CREATED), (8, None, CREATED), (2000, 3, REFUSED)]
    document = json.loads(b"".join(multi_status("the-job", [indexed_items(outcomes)])))
    assert [(item["index"], item["id"][0]["value"], item["status"]) for item in document["data"]] == [
        (7, 1, 201),
        (8, None, 201),
        (2000, 3, 500),
    ]


RECORD = {
    "state": "queued", "client": "c", "user": "u", "database": "d", "care_plan": "", "seq": "7", "accepted_us": "1",
    "total": "1", "sha256": "", "strict": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {}),
        ({"dry_run": "1", "saw_seq": "6"}, {"dryRun": True}),
        ({"dry_run": "1", "saw_seq": "6", "state": "completed"}, {"dryRun": True, "sawSequence": 6}),
    ],
)
def test_what_a_dry_run_saw_is_told_once_all_of_it_has_seen_that(
    more: dict[str, str], expected: dict[str, object]
) -> None:
    document = job_document(job_from_record("j", {**RECORD, **more}, EPOCH), "")
    assert {name: document[name] for name in ("dryRun", "sawSequence") if name in document} == expected


def test_a_job_whose_sequence_changes_gets_another_tag() -> None:
    jobs = [
        job_from_record("j", {**RECORD, **more}, EPOCH)
        for more in ({}, {"unsettled": "1"}, {"seq": "8"}, {"total": "1"})
    ]
    open_, unsettled, moved, same = map(job_tag, jobs)
    assert len({open_, unsettled, moved}) == 3
    assert same == open_


def test_a_multi_status_without_items_is_a_document() -> None:
    assert json.loads(b"".join(multi_status("the-job", [])))["data"] == []


@pytest.mark.parametrize(
    ("open_items", "rate", "seconds"),
    [
        (0, 0, "1"),
        (10**9, 0, "1"),
        (0, 5000, "1"),
        (5000, 5000, "1"),
        (5001, 5000, "2"),
        (100_000, 10_000, "10"),
        (59, 1, "59"),
        (60, 1, "60"),
        (61, 1, "60"),
        (10**9, 10, "60"),
    ],
)
def test_retry_after_is_the_work_ahead_at_the_rate_measured(open_items: int, rate: int, seconds: str) -> None:
    assert retry_after(Throughput(open_items, rate)) == seconds


STATUS_OF_FAULT = {
    "not-json": 400, "not-an-array": 400, "not-lines": 400, "bad-file": 400, "no-mapping": 422, "empty": 400,
    "too-many-items": 413, "too-large": 413,
    "media-type": 415, "encoding": 415, "broken-encoding": 400, "broken-off": 400, "no-database": 400,
    "bad-parameter": 400, "contradictory-parameters": 422, "bad-header": 400, "key-reused": 422,
    "too-large-for-strict": 422, "not-acceptable": 406,
    "too-slow": 408, "no-credentials": 401, "bad-credentials": 401, "not-granted": 403, "no-user-agent": 403,
}  # fmt: skip
HEADERS_OF_STATUS = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},
    415: {
        "Accept": "application/json, text/json, application/*+json, application/x-ndjson, text/csv,"
        " text/tab-separated-values"
    },
}


@pytest.mark.parametrize("fault", [*BatchFault, *AccessFault])
def test_every_fault_of_a_request_is_a_problem_of_the_callers(fault: BatchFault | AccessFault) -> None:
    error = BatchRefused(fault, "what to do") if isinstance(fault, BatchFault) else AccessRefused(fault, "what to do")
    status = STATUS_OF_FAULT[fault.value]
    headers = HEADERS_OF_STATUS.get(status, {})
    if fault is BatchFault.ENCODING:
        headers = {"Accept-Encoding": "zstd, gzip"}
    assert problem_of(error) == Problem(status, fault.value, "what to do", headers)


SAY_LATER = "The job store is unavailable at the moment. Send the request again, a batch with the same Idempotency-Key."


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (JobNotFound("why"), Problem(404, "job-not-found", "why")),
        (JobExpired("why"), Problem(410, "job-expired", "why")),
        (JobConflict("why"), Problem(409, "job-conflict", "why")),
        (BacklogFull("why"), Problem(503, "backlog-full", "why", {"Retry-After": "5"})),
        (KeysUnavailable("why"), Problem(503, "keys-unavailable", "why", {"Retry-After": "5"})),
        (StoreUnavailable("host"), Problem(503, "store-unavailable", SAY_LATER, {"Retry-After": "5"})),
        (PayloadUnreadable("key"), Problem(503, "store-unavailable", SAY_LATER, {"Retry-After": "5"})),
        (TargetFailure(FailureKind.AWAY), UNEXPECTED),
        (SettingsError("a secret"), UNEXPECTED),
    ],
)
def test_every_other_error_is_a_problem_that_says_what_callers_may_know(error: CareCaseError, problem: Problem) -> None:
    assert problem_of(error) == problem


@pytest.mark.parametrize(("wait_s", "expected"), [(0, "1"), (0.001, "1"), (1, "1"), (1.001, "2"), (59.5, "60")])
def test_who_asks_too_often_learns_when_to_ask_again(wait_s: float, expected: str) -> None:
    error = RateExceeded(timedelta(seconds=wait_s))
    words = "Too many requests from this client. Wait as long as Retry-After says; poll less often."
    assert problem_of(error) == Problem(429, "rate-exceeded", words, {"Retry-After": expected})


def test_what_is_not_meant_for_callers_is_not_shown_to_them() -> None:
    assert UNEXPECTED.members("/x") == {
        "type": "urn:carecase:problem:internal",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The service failed. Try again; if it fails again, report the activityID to the operator of the"
        " service.",
        "instance": "/x",
    }
    assert problem_of_status(405).members("/x")["title"] == "Method Not Allowed"
