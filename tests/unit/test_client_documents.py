"""Documents of the service, as the client gives them on: jobs, items, pages, problems."""

import json

import pytest
from tests.client_answers import JOB, Hands, calls_of, item, job, play, result

from carecase_worker.client.documents import ItemResult, Job, Page, detail_of, job_of_status, page_of_items
from carecase_worker.client.exchange.steps import Response


@pytest.mark.parametrize(
    ("page", "more"), [((1, 1), None), ((1, 2), 2), ((2, 2), None), ((3, 2), None), ((1, 0), None), ((7, 9), 8)]
)
def test_there_is_a_next_page_as_long_as_the_service_says_so(page: tuple[int, int], more: int | None) -> None:
    _, read = play(calls_of(Hands()).result(JOB, None, *page), [result(item(1, 201, "Created"), page=page)], Hands())
    assert read == Page([ItemResult(0, 1, 201, "Created")], more)
    pagination = {"x-pagination": json.dumps({"TotalCount": 1, "TotalPages": page[1], "CurrentPage": page[0]})}
    response = Response(200, pagination, json.dumps({"data": [job()]}).encode())
    _, listed = play(calls_of(Hands()).jobs(None, None, 1, 1), [response], Hands())
    assert (len(listed.elements), listed.next) == (1, more)


@pytest.mark.parametrize(
    ("status", "body", "retryable"),
    [
        (201, "Created", False),
        (200, "Updated", False),
        (200, "Superseded", False),
        (422, "case_Key: must be set", False),
        (409, "The case is another care plan's.", False),
        (409, "Cancelled", True),
        (500, "The database refused the item.", True),
        (503, "The database was away.", True),
    ],
)
def test_items_that_failed_for_a_reason_outside_themselves_may_be_sent_again(
    status: int, body: str, retryable: bool
) -> None:
    assert ItemResult(0, 1, status, body).is_retryable is retryable


@pytest.mark.parametrize(
    ("state", "counts", "final", "applied"),
    [
        ("queued", {}, False, False),
        ("running", {}, False, False),
        ("waiting", {}, False, False),
        ("cancelling", {}, False, False),
        ("completed", {"created": 3}, True, True),
        ("completed", {"created": 2, "failed": 1}, True, False),
        ("completed", {"created": 2, "cancelled": 1}, True, False),
        ("cancelled", {"cancelled": 3}, True, False),
        ("cancelled", {}, True, True),
    ],
)
def test_a_job_says_if_it_is_over_and_wholly_applied(
    state: str, counts: dict[str, int], final: bool, applied: bool
) -> None:
    response = Response(200, {}, json.dumps({"data": job(state, **counts)}).encode())
    _, read = play(calls_of(Hands()).job(JOB), [response], Hands())
    assert (read.final, read.applied) == (final, applied)


def test_a_job_is_written_as_it_was_read() -> None:
    document = job(
        "completed", carePlanKey=5, total=1, processed=1, created=1, bodySha256="0" * 64,
        submittedAt="2026-11-25T08:00:00.123456Z", startedAt="2026-11-25T08:00:01Z",
        finishedAt="2026-11-25T08:00:02Z", expiresAt="2026-12-02T08:00:02Z",
        links={"self": f"/jobs/{JOB}", "result": f"/jobs/{JOB}/result"},
    )  # fmt: skip
    response = Response(200, {}, json.dumps({"data": document}).encode())
    _, read = play(calls_of(Hands()).job(JOB), [response], Hands())
    assert isinstance(read, Job)
    del document["futureMember"]
    assert read.document() == {**document, "sequence": None, "strict": False, "dryRun": False, "sawSequence": None}


@pytest.mark.parametrize(
    ("status", "body", "group", "applied"),
    [
        (201, "Created", "created", True),
        (200, "Updated", "updated", True),
        (200, "Superseded", "superseded", True),
        (200, "Valid", "valid", False),
        (409, "Cancelled", "cancelled", False),
        (409, "carePlan_Key: the case exists under another care plan", "failed", False),
        (422, "case_Key: is required", "failed", False),
        (424, "Not applied: …", "failed", False),
        (500, "…", "failed", False),
        (503, "…", "failed", False),
    ],
)
def test_an_item_says_what_became_of_it(status: int, body: str, group: str, applied: bool) -> None:
    read = ItemResult(3, 7, status, body)
    assert (read.group, read.applied) == (group, applied)
    identity = [{"key": "case_Key", "value": 7}]
    assert read.document() == {"index": 3, "id": identity, "status": status, "body": body}


def test_a_problem_has_its_words_and_the_id_in_the_logs() -> None:
    assert detail_of(b'{"error": {"detail": "d"}, "debug": {"activityID": "a"}}') == ("d", "a")
    assert detail_of(b'{"error": {"detail": "d"}}') == ("d", None)
    assert detail_of(b'{"error": {"detail": "d"}, "debug": {}}') == ("d", None)
    assert detail_of(b"<html>") is None


def test_a_dry_run_says_so_and_its_items_what_would_change() -> None:
    read = job_of_status(json.dumps({"data": job("completed", dryRun=True, sequence=None, sawSequence=7)}).encode())
    assert (read.dry_run, read.sequence, read.saw_sequence) == (True, None, 7)
    data = [
        {"id": [{"key": "case_Key", "value": 1}], "status": 201, "body": "Would be created"},
        {"id": [{"key": "case_Key", "value": 2}], "status": 200, "body": "Would be updated", "changes": ["case_ID"]},
        {"id": [{"key": "case_Key", "value": 3}], "status": 200, "body": "Unchanged", "changes": []},
    ]
    items = page_of_items(json.dumps({"data": data}).encode(), None, None).elements
    assert [(item.group, item.applied, item.changes) for item in items] == [
        ("created", False, None),
        ("updated", False, ("case_ID",)),
        ("updated", False, ()),
    ]
    assert items[1].document() == {"index": 1, **data[1]}
