"""Items that failed are sent again, by both kinds of client: mended in a file, or as they were."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.peers import JOB, Peer, Reply, accepted, answering, items, job_reply, problem

from carecase_worker.client.api import connect, connect_async
from carecase_worker.client.documents import Job
from carecase_worker.client.mending.failed_files import Written
from carecase_worker.client.row_files import RowFile
from carecase_worker.errors import JobStateRefused, RequestRefused

LINES = b'{"case_Key":1}\n{"case_Key":2}\n{"case_Key":3}\n{"case_Key":4}\n'
NEW = "0199c0de-0000-7000-8000-000000000002"


def the_job(body: bytes = LINES, **members: Any) -> Reply:
    digest = hashlib.sha256(body).hexdigest()
    return job_reply(
        total=4, failed=2, created=1, cancelled=1, bodySha256=digest, carePlanKey=5, database="other", **members
    )


def called(url: str, is_async: bool, call: str, *arguments: Any) -> Any:
    """The answer of a call of one kind of client, whose own database is another one than the job's."""

    async def ask() -> Any:
        async with connect_async(url, database="demo") as client:
            return await getattr(client, call)(*arguments)

    if is_async:
        return asyncio.run(ask())
    with connect(url, database="demo") as client:
        return getattr(client, call)(*arguments)


FAILED = items((2, 503, "away"), (4, 422, "case_ID: too long"), indexes=(1, 3), pages=(1, 1))
CANCELLED = items((3, 409, "Cancelled"), indexes=(2,), pages=(1, 1))


def put_of(peer: Peer) -> tuple[str, str, str]:
    """Path, database and key of the batch that was sent."""
    (put,) = (one for one in peer.received if one.method == "PUT")
    return put.path, put.headers["vbasoftware-database"], put.headers["idempotency-key"]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    (tmp_path / "cases.ndjson").write_bytes(LINES)
    return tmp_path / "cases.ndjson"


@pytest.mark.parametrize("is_async", [False, True])
def test_what_was_not_applied_is_written_and_sent_once_mended(lines: Path, is_async: bool) -> None:
    with answering(the_job(), FAILED, CANCELLED, the_job(), accepted(job_id=NEW)) as peer:
        written: Written = called(peer.url, is_async, "write_failed", JOB, lines)
        kept = [json.loads(line) for line in written.path.read_text().splitlines()]
        assert [(item["case_Key"], item["_reason"]) for item in kept] == [
            (2, "away"),
            (3, "Cancelled"),
            (4, "case_ID: too long"),
        ]
        new: Job = called(peer.url, is_async, "resend", JOB, written.path)
    assert new.job_id == NEW
    digest = hashlib.sha256(written.path.read_bytes()).hexdigest()
    assert put_of(peer) == ("/care-plans/5/cases-batch", "other", f"resend-{JOB}-{digest}")


@pytest.mark.parametrize("is_async", [False, True])
def test_of_a_dry_run_those_that_would_fail_are_written_and_tried_again(tmp_path: Path, is_async: bool) -> None:
    """What would be applied needs no correction, and nothing of a dry run is applied by mistake."""
    rows = b"case_Key,carePlan_Key,do_Not_Contact\n1,5,false\n2,5,no\n3,5,false\n4,5,false\n"
    file = RowFile(tmp_path / "cases.csv")
    (tmp_path / "cases.csv").write_bytes(rows)
    job = the_job(rows, dryRun=True)
    outcomes = (201, "Would be created"), (422, "wrong"), (200, "Would be updated"), (200, "Unchanged")
    whole = items(*((n, *outcome) for n, outcome in enumerate(outcomes, start=1)), indexes=range(4), pages=(1, 1))
    for item in whole.body["data"]:
        item["line"] = item["index"] + 2
    with answering(job, whole, job, accepted(job_id=NEW)) as peer:
        written: Written = called(peer.url, is_async, "write_failed", JOB, file)
        assert written.path.read_text().splitlines()[1:] == ["2,5,no,1,3,422,wrong"]
        called(peer.url, is_async, "resend", JOB, RowFile(written.path))
    (put,) = (one for one in peer.received if one.method == "PUT")
    assert put.path == "/care-plans/5/cases-batch?dryRun=true"


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("call", ["resend", "resend_failed"])
def test_what_was_all_or_none_is_so_again(tmp_path: Path, is_async: bool, call: str) -> None:
    """Else what is still wrong would fail by itself, and the rest be applied."""
    lines = tmp_path / "cases.ndjson"
    lines.write_bytes(LINES)
    job, mended = the_job(strict=True), tmp_path / "mended.ndjson"
    mended.write_bytes(LINES.replace(b"1", b"7"))
    replies = (job,) if call == "resend" else (problem(409), job, FAILED, CANCELLED, job)
    with answering(*replies, accepted(job_id=NEW, strict=True)) as peer:
        assert called(peer.url, is_async, call, JOB, mended if call == "resend" else lines).strict
    assert [one.headers.get("prefer") for one in peer.received if one.method == "PUT"] == ["handling=strict"]


@pytest.mark.parametrize("is_async", [False, True])
def test_what_the_service_has_is_sent_by_it_and_else_from_the_file(lines: Path, is_async: bool) -> None:
    with answering(accepted(job_id=NEW)) as peer:
        assert called(peer.url, is_async, "resend_failed", JOB, lines).job_id == NEW
        assert peer.calls == [f"POST /jobs/{JOB}/retry"]
    with answering(problem(409), the_job(), FAILED, CANCELLED, the_job(), accepted(job_id=NEW)) as peer:
        assert called(peer.url, is_async, "resend_failed", JOB, lines).job_id == NEW
    assert [one.body for one in peer.received if one.method == "PUT"] == [b'{"case_Key":2}\n{"case_Key":3}\n']
    assert put_of(peer)[:2] == ("/care-plans/5/cases-batch", "other")
    with (
        answering(problem(409), the_job(), items(pages=(1, 1)), items(pages=(1, 1))) as peer,
        pytest.raises(JobStateRefused),
    ):
        called(peer.url, is_async, "resend_failed", JOB, lines)


@pytest.mark.parametrize("is_async", [False, True])
def test_rows_are_asked_for_by_their_lines(tmp_path: Path, is_async: bool) -> None:
    body = b"case_Key,carePlan_Key,do_Not_Contact\n1,5,true\n\n2,5,no\n"
    (tmp_path / "cases.csv").write_bytes(body)
    rows = items((1, 201, "Created"), (2, 422, "do_Not_Contact: must be true or false"), indexes=(0, 1), pages=(1, 1))
    for item, line in zip(rows.body["data"], (2, 4), strict=True):
        item["line"] = line
    digest = hashlib.sha256(body).hexdigest()
    with answering(job_reply(total=2, failed=1, created=1, bodySha256=digest), rows) as peer:
        written = called(peer.url, is_async, "write_failed", JOB, RowFile(tmp_path / "cases.csv"))
    assert written.path.read_text().splitlines()[1:] == ["2,5,no,1,4,422,do_Not_Contact: must be true or false"]


@pytest.mark.parametrize("is_async", [False, True])
def test_rows_are_sent_again_as_rows_of_the_same_kind_and_mapping(tmp_path: Path, is_async: bool) -> None:
    header, *rows = b"case_Key\tDNC\n", b"1\ttrue\n", b"2\ttrue\n"
    body = header + b"".join(rows)
    (tmp_path / "cases.tsv").write_bytes(body)
    outcomes = items((1, 201, "Created"), (2, 503, "away"), indexes=(0, 1), pages=(1, 1))
    for item in outcomes.body["data"]:
        item["line"] = item["index"] + 2
    with answering(problem(409), the_job(body), outcomes, the_job(body), accepted(job_id=NEW)) as peer:
        called(peer.url, is_async, "resend_failed", JOB, RowFile(tmp_path / "cases.tsv", "referrals"))
    (put,) = (one for one in peer.received if one.method == "PUT")
    assert (put.path, put.body) == ("/care-plans/5/cases-batch?mapping=referrals", header + rows[1])
    assert put.headers["content-type"] == "text/tab-separated-values"


@pytest.mark.parametrize("is_async", [False, True])
def test_the_whole_file_is_not_sent(lines: Path, is_async: bool) -> None:
    """It would undo whatever was written to its cases since."""
    with answering(the_job()) as peer:
        with pytest.raises(RequestRefused, match="is the whole file"):
            called(peer.url, is_async, "resend", JOB, lines)
        assert peer.calls == [f"GET /jobs/{JOB}"]
