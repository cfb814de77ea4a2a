"""status, result, cancel, retry, jobs: what they ask, what they write and how they end, by what the service says."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.commands import Carecase, ctrl_c_at
from tests.peers import JOB, Peer, Reply, a_job, accepted, answering, items, job_reply, problem

COUNTS = "3 of 3 (2 created, 0 updated, 0 superseded, 1 failed, 0 cancelled)"
DONE: dict[str, Any] = {"created": 3}
PARTLY: dict[str, Any] = {"created": 2, "failed": 1}
GOES_ON = f"It continues by itself. To watch it: carecase status {JOB} --watch\n"
NOT_APPLIED = (
    f"1 not applied. To see which, and why: carecase result {JOB} --failed\n"
    f"To retry those with 500, 503 or Cancelled: carecase retry {JOB}\n"
)


@pytest.mark.parametrize(
    ("reply", "line", "advice"),
    [
        (job_reply(**DONE), "completed: 3 of 3 (3 created, 0 updated, 0 superseded, 0 failed, 0 cancelled)", ""),
        (job_reply(**PARTLY), f"completed: {COUNTS}", NOT_APPLIED),
        (
            job_reply(state="running", total=5000, processed=1234, updated=1200, superseded=34),
            "running: 1,234 of 5,000 (0 created, 1,200 updated, 34 superseded, 0 failed, 0 cancelled)",
            GOES_ON,
        ),
        (
            job_reply(state="cancelled", created=1, failed=1, cancelled=1),
            "cancelled: 3 of 3 (1 created, 0 updated, 0 superseded, 1 failed, 1 cancelled)",
            NOT_APPLIED.replace("1 not", "2 not"),
        ),
    ],
)
def test_status_shows_the_counts_and_what_to_type_next(
    carecase: Carecase, reply: Reply, line: str, advice: str
) -> None:
    with answering(reply) as peer:
        ran = carecase("status", JOB, "--url", peer.url)
    assert (ran.status, ran.out, ran.err) == (0, f"job {JOB} {line}\n", advice)
    assert peer.calls == [f"GET /jobs/{JOB}"]


@pytest.mark.parametrize(("last", "status"), [(DONE, 0), (PARTLY, 1), ({"state": "cancelled", "cancelled": 3}, 1)])
def test_status_that_watches_ends_with_what_became_of_the_job(
    carecase: Carecase, last: dict[str, Any], status: int
) -> None:
    applied = {"preference-applied": "wait=1"}
    running = job_reply(state="running")
    with answering(running, Reply(200, running.body, applied), job_reply(**last)) as peer:
        ran = carecase("status", JOB, "--watch", "--json", "--url", peer.url)
    assert (ran.status, json.loads(ran.out)["state"]) == (status, last.get("state", "completed"))
    assert peer.calls == [f"GET /jobs/{JOB}"] * 3
    assert [one.headers.get("prefer") for one in peer.received] == [None, "wait=1", "wait=1"]


def test_counts_of_a_dry_run_are_what_would_be_after_the_batches_that_it_saw(carecase: Carecase) -> None:
    with answering(job_reply(dryRun=True, sawSequence=41, **DONE)) as peer:
        ran = carecase("status", JOB, "--url", peer.url)
    counts = "3 of 3 (would be: 3 created, 0 updated, 0 superseded, 0 failed, 0 cancelled)"
    assert ran.out == f"dry run {JOB} completed: {counts}; it saw all batches up to sequence 41\n"


def test_ctrl_c_ends_the_watching_and_says_that_the_job_goes_on(carecase: Carecase) -> None:
    running = job_reply(state="running")
    with answering(running, Reply(200, running.body, silence_s=300)) as peer, ctrl_c_at(peer, 2):
        ran = carecase("status", JOB, "--watch", "--url", peer.url)
    assert (ran.status, ran.out, ran.err) == (130, "", GOES_ON)


def test_a_job_is_given_as_json_as_the_service_has_it(carecase: Carecase) -> None:
    document = a_job("running", carePlanKey=5, submittedAt="2026-11-25T08:00:00.123456Z", links={"self": "/jobs/j"})
    with answering(Reply(200, {"data": document}), *[Reply(202, {"job": document})] * 2) as peer:
        for command in ("status", "cancel", "retry"):
            ran = carecase(command, JOB, "--json", "--url", peer.url)
            assert ran.status == 0
            given = json.loads(ran.out)
            assert {name: given[name] for name in document} == document
            assert ran.out.count("\n") == 1
    assert peer.calls == [f"GET /jobs/{JOB}", f"DELETE /jobs/{JOB}", f"POST /jobs/{JOB}/retry"]


def test_cancel_and_retry_show_the_job_and_what_follows(carecase: Carecase) -> None:
    with answering(accepted(state="cancelling"), accepted(job_id="new")) as peer:
        cancelled = carecase("cancel", JOB, "--url", peer.url)
        again = carecase("retry", JOB, "--url", peer.url)
    counts = "0 of 3 (0 created, 0 updated, 0 superseded, 0 failed, 0 cancelled)"
    assert (cancelled.status, cancelled.out, cancelled.err) == (0, f"job {JOB} cancelling: {counts}\n", "")
    assert (again.status, again.out) == (0, f"job new queued: {counts}\n")
    assert again.err == GOES_ON.replace(JOB, "new")


ITEMS = (
    (7, 201, "Created"),
    (12345, 200, "Updated"),
    (None, 422, "case_Key: is required"),
    (8, 422, "case_ID: must be a string, at last"),
    (9, 201, "Created"),
    (10, 409, "Cancelled"),
)
TABLE = """\
index  case_Key  status  body
0      7         201     Created
1      12345     200     Updated
2                422     case_Key: is required
3      8         422     case_ID: must be a string, at last
4      9         201     Created
5      10        409     Cancelled
2 × 201 Created, 2 × 422, 1 × 200 Updated, 1 × 409 Cancelled
"""
CSV = (
    "index,case_Key,status,body\r\n0,7,201,Created\r\n1,12345,200,Updated\r\n2,,422,case_Key: is required\r\n"
    '3,8,422,"case_ID: must be a string, at last"\r\n4,9,201,Created\r\n5,10,409,Cancelled\r\n'
)
DOCUMENT = [
    {"index": n, "id": [{"key": "case_Key", "value": key}], "status": status, "body": body}
    for n, (key, status, body) in enumerate(ITEMS)
]


def test_a_result_is_a_table_csv_or_json(carecase: Carecase) -> None:
    with answering(*[items(*ITEMS)] * 5) as peer:
        ways = [(), ("--format", "table"), ("--format", "csv"), ("--format", "json"), ("--format", "csv", "--json")]
        written = [carecase("result", JOB, *way, "--url", peer.url) for way in ways]
    assert peer.calls == [f"GET /jobs/{JOB}/result"] * 5
    assert [(ran.status, ran.err) for ran in written] == [(0, "")] * 5
    plain, table, csv, as_json, json_again = (ran.out for ran in written)
    assert plain == table == TABLE
    assert csv == CSV
    assert json.loads(as_json) == json.loads(json_again) == DOCUMENT


def test_rows_of_a_file_have_their_lines_and_a_dry_run_what_it_would_change(carecase: Carecase) -> None:
    reply = items((7, 200, "Would be updated"), (8, 422, "case_ID: is required"))
    first, second = reply.body["data"]
    first |= {"line": 2, "changes": ["case_ID", "case_Status"]}
    second |= {"line": 4}
    with answering(*[reply] * 2) as peer:
        csv = carecase("result", JOB, "--format", "csv", "--url", peer.url).out
        table = carecase("result", JOB, "--url", peer.url).out
    assert csv.splitlines() == [
        "line,index,case_Key,status,body,changes",
        "2,0,7,200,Would be updated,case_ID case_Status",
        "4,1,8,422,case_ID: is required,",
    ]
    assert [line.split() for line in table.splitlines()[:2]] == [
        ["line", "index", "case_Key", "status", "body", "changes"],
        ["2", "0", "7", "200", "Would", "be", "updated", "case_ID", "case_Status"],
    ]


def test_of_a_result_those_that_were_not_applied_come_in_order(carecase: Carecase) -> None:
    failed = items((None, 422, "case_Key: is required"), (8, 500, "no"), indexes=(2, 30))
    with answering(failed, items((10, 409, "Cancelled"), indexes=(5,))) as peer:
        ran = carecase("result", JOB, "--failed", "--json", "--url", peer.url)
    assert peer.calls == [f"GET /jobs/{JOB}/result?outcome={group}" for group in ("failed", "cancelled")]
    assert [(item["index"], item["status"]) for item in json.loads(ran.out)] == [(2, 422), (5, 409), (30, 500)]


def listed(peer: Peer) -> str:
    (call,) = peer.calls
    return call.partition("?")[2]


def test_jobs_are_listed_a_page_at_a_time(carecase: Carecase) -> None:
    jobs = [
        a_job(submittedAt="2026-11-25T08:00:00.123456Z", **PARTLY),
        a_job("queued", job_id="other"),
    ]
    pages = {"x-pagination": json.dumps({"CurrentPage": 2, "TotalPages": 9})}
    for more, query in (
        ((), "page=1&pageSize=20"),
        (("--page", "3", "--page-size", "2", "--state", "queued", "--database", "demo"),
         "state=queued&database=demo&page=3&pageSize=2"),
    ):  # fmt: skip
        with answering(Reply(200, {"data": jobs}, pages if more else {})) as peer:
            ran = carecase("jobs", *more, "--url", peer.url)
        assert listed(peer) == query
        assert (ran.status, ran.err) == (0, "")
        assert ran.out == (
            f"2026-11-25T08:00:00.123Z  demo  job {JOB} completed: {COUNTS}\n"
            "  demo  job other queued: 0 of 3 (0 created, 0 updated, 0 superseded, 0 failed, 0 cancelled)\n"
        )
    with answering(Reply(200, {"data": jobs})) as peer:
        ran = carecase("jobs", "--json", "--url", peer.url)
    assert [job["jobId"] for job in json.loads(ran.out)] == [JOB, "other"]


@pytest.mark.parametrize("arguments", [("--page", "0"), ("--page-size", "0"), ("--page-size", "1001")])
def test_a_page_that_cannot_be_is_not_asked_for(carecase: Carecase, arguments: tuple[str, ...]) -> None:
    with answering() as peer:
        ran = carecase("jobs", *arguments, "--url", peer.url)
    assert (ran.status, ran.out, peer.calls) == (2, "", [])
    assert f"Invalid value for '{arguments[0]}'" in ran.err


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (problem(404), "404: So it is. Check the job's id and the URL, and whether the same API key sent it."),
        (problem(410), "410: So it is."),
        (problem(401), "401: So it is. Check the API key and the token."),
        (problem(500), "500: So it is. (activityID a-1)"),
        (Reply(200, b"<html>"), "200: this is not a response of the service. Check the URL."),
        (accepted(), "200: this is not a response of the service. Check the URL."),
    ],
)
def test_what_is_refused_is_reported_with_the_url(carecase: Carecase, reply: Reply, error: str) -> None:
    if reply.status == 202:
        reply = Reply(200, reply.body)
    with answering(reply) as peer:
        ran = carecase("status", JOB, "--url", peer.url)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"{error}\nThe service's URL is {peer.url} (--url).\n"
    assert len(peer.calls) == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (problem(429, retry_after="9"), "429: So it is."),
        (problem(503, retry_after="9"), "503: So it is. (activityID a-1)"),
        (
            Reply(502, b"<html>", {"Retry-After": "9"}),
            "502: the service is overloaded or unavailable. Try again later.",
        ),
    ],
)
def test_a_service_that_is_busy_for_longer_than_the_timeout_is_reported_with_it(
    carecase: Carecase, reply: Reply, error: str
) -> None:
    with answering(reply) as peer:
        ran = carecase("jobs", "--timeout", "2.5", "--url", peer.url)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        f"{error}\nThe service's URL is {peer.url} (--url).\n"
        "The timeout was 2.5 s; --timeout SECONDS sets a longer one.\n"
    )


def test_what_is_tried_again_is_reported_if_it_takes_a_second(carecase: Carecase) -> None:
    replies = problem(503, retry_after="0"), problem(429, retry_after="1"), job_reply(**DONE)
    with answering(*replies) as peer:
        ran = carecase("status", JOB, "--url", peer.url)
    assert (ran.status, ran.err) == (0, "429: So it is. Trying again in 1 s.\n")
    assert len(peer.calls) == 3


def test_access_is_taken_from_flags_before_variables_before_a_system_nearby(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replies = [Reply(200, {"data": []})] * 3
    with answering(*replies) as peer:
        stack = {
            "intake": {"url": peer.url},
            "clients": [{"api_key": "near", "bearer": "near-token", "databases": ["d", "e"]}, {"api_key": "other"}],
        }
        (tmp_path / "stack.json").write_text(json.dumps(stack))
        carecase("jobs")
        monkeypatch.setenv("CARECASE_API_KEY", " of-variable\n")
        mixed = carecase("jobs", "--token", "of-flag")
        assert (mixed.status, mixed.err[:9], len(peer.received)) == (2, "You gave ", 1), "it is sent nowhere"
        carecase("jobs", "--token", "of-flag", "--url", peer.url)
        (tmp_path / "key").write_text("of-file\n")
        (tmp_path / "token").write_text("  token-of-file")
        carecase("jobs", "--api-key-file", "key", "--token-file", "token", "--url", peer.url)
    sent = [(one.headers["x-api-key"], one.headers["authorization"]) for one in peer.received]
    assert sent == [
        ("near", "Bearer near-token"), ("of-variable", "Bearer of-flag"), ("of-file", "Bearer token-of-file"),
    ]  # fmt: skip
    assert {one.headers["user-agent"] for one in peer.received} == {"carecase-worker"}
    assert {one.headers["accept"] for one in peer.received} == {"application/json"}


def test_a_job_is_purged_and_jobs_alone_still_lists(carecase: Carecase) -> None:
    """410 says that nothing is kept, which is what was wanted."""
    with answering(Reply(204), problem(410), problem(409), problem(404), Reply(200, {"data": [a_job()]})) as peer:
        for status in (0, 0, 2, 2):
            ran = carecase("jobs", "purge", JOB, "--url", peer.url)
            assert ran.status == status, ran.err
            assert (f"{JOB} is purged" in ran.out) == (status == 0)
        assert JOB in carecase("jobs", "--url", peer.url).out
    assert peer.calls[:-1] == [f"DELETE /jobs/{JOB}?purge=true"] * 4
