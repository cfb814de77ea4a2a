"""failed, resend: what they send again, to where, and how they end, by what became of it."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.commands import Carecase
from tests.peers import JOB, Peer, Reply, accepted, answering, items, told

LINES = b'{"case_Key":1}\n{"case_Key":2}\n'
NEW = "0199c0de-0000-7000-8000-000000000002"


def the_job(**members: Any) -> Reply:
    """The job that the file was sent as: for a care plan, and a database that is not the client's own."""
    digest = hashlib.sha256(LINES).hexdigest()
    return told(**{"total": 2, "failed": 2, "bodySha256": digest, "carePlanKey": 5, "database": "other", **members})


def path_and_database(peer: Peer) -> list[tuple[str, str | None]]:
    return [(one.path, one.headers.get("vbasoftware-database")) for one in peer.received if one.method == "PUT"]


@pytest.mark.parametrize(
    ("last", "status"),
    [({"created": 2}, 0), ({"created": 1, "failed": 1}, 1), ({"created": 1, "cancelled": 1}, 1)],
    ids=str,
)
def test_what_is_sent_again_as_it_was_ends_with_what_became_of_it(
    carecase: Carecase, tmp_path: Path, last: dict[str, Any], status: int
) -> None:
    file = tmp_path / "cases.ndjson"
    file.write_bytes(LINES)
    with answering(the_job(), accepted(job_id=NEW, state="completed", total=2, **last)) as peer:
        ran = carecase("failed", JOB, str(file), "--resend", "--no-watch", "--url", peer.url)
    assert (ran.status, f"accepted as job {NEW}: 2 items" in ran.err) == (status, True)
    assert peer.calls == [f"GET /jobs/{JOB}", f"POST /jobs/{JOB}/retry"]


def test_a_mended_file_goes_under_the_care_plan_and_to_the_database_of_its_job(
    carecase: Carecase, tmp_path: Path
) -> None:
    mended = tmp_path / "cases.failed.ndjson"
    mended.write_bytes(b'{"case_Key":2}\n')
    with answering(the_job(), accepted(job_id=NEW)) as peer:
        ran = carecase("resend", JOB, str(mended), "--no-watch", "--url", peer.url)
    assert ran.status == 0, ran.err
    assert path_and_database(peer) == [("/care-plans/5/cases-batch", "other")]


def test_after_a_dry_run_nothing_is_applied_by_the_commands_that_it_suggests(
    carecase: Carecase, tmp_path: Path
) -> None:
    file, job = tmp_path / "cases.ndjson", the_job(dryRun=True, failed=1, created=1)
    file.write_bytes(LINES)
    failed = items((2, 422, "wrong"), indexes=(1,), pages=(1, 1))
    with answering(job, job, failed, items(pages=(1, 1)), job, accepted(job_id=NEW, dryRun=True)) as peer:
        ran = carecase("failed", JOB, str(file), "--url", peer.url)
        assert "1 of 2 items would not be applied." in ran.out
        assert "then try them again: carecase resend" in ran.err
        ran = carecase("resend", JOB, str(tmp_path / "cases.failed.ndjson"), "--no-watch", "--url", peer.url)
    assert "dry run" in ran.out
    assert path_and_database(peer) == [("/care-plans/5/cases-batch?dryRun=true", "other")]
