"""failed, resend: what they send again, to where, and how they end, by what became of it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.commands import Carecase
from tests.peers import JOB, Peer, Reply, accepted, answering, items, job_reply

LINES = b'{"case_Key":1}\n{"case_Key":2}\n'
CASE_2 = {"case_Key": 2, "carePlan_Key": 5}
NEW = "0199c0de-0000-7000-8000-000000000002"


def the_job(**members: Any) -> Reply:
    """The job that the file was sent as: for a care plan, and a database that is not the client's own."""
    digest = hashlib.sha256(LINES).hexdigest()
    return job_reply(
        **{"total": 2, "failed": 2, "bodySha256": digest, "carePlanKey": 5, "database": "other", **members}
    )


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
    digest = hashlib.sha256(mended.read_bytes()).hexdigest()
    assert peer.received[1].headers["idempotency-key"] == f"resend-{JOB}-{digest}"


@pytest.mark.parametrize("strict", [False, True])
def test_a_mended_file_of_a_strict_job_is_strict(carecase: Carecase, tmp_path: Path, strict: bool) -> None:
    mended = tmp_path / "cases.failed.ndjson"
    mended.write_bytes(b'{"case_Key":2}\n')
    members = {"strict": True} if strict else {}
    with answering(the_job(**members), accepted(job_id=NEW)) as peer:
        assert carecase("resend", JOB, str(mended), "--no-watch", "--url", peer.url).status == 0
    (put,) = (one for one in peer.received if one.method == "PUT")
    assert put.headers.get("prefer") == ("handling=strict" if strict else None)


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


NOTHING_FAILED = (items(pages=(1, 1)), items(pages=(1, 1)))
SECOND_FAILED = (items((2, 422, "wrong"), indexes=(1,), pages=(1, 1)), NOTHING_FAILED[1])


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_job_of_which_all_was_applied_leaves_nothing_to_correct(
    carecase: Carecase, tmp_path: Path, dry_run: bool
) -> None:
    file, job = tmp_path / "cases.ndjson", the_job(failed=0, created=2, dryRun=dry_run)
    file.write_bytes(LINES)
    with answering(job, job, *NOTHING_FAILED) as peer:
        ran = carecase("failed", JOB, str(file), "--url", peer.url)
    applied = "would be applied" if dry_run else "were applied"
    text = f"All items of job {JOB} {applied}: there is nothing to correct.\n"
    assert (ran.status, ran.out, ran.err) == (0, text, "")
    assert [one.name for one in tmp_path.iterdir()] == ["cases.ndjson"]


def test_what_was_written_is_told_and_the_command_that_sends_it(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "my cases.ndjson").write_bytes(LINES)
    with answering(the_job(created=1, failed=1), the_job(created=1, failed=1), *SECOND_FAILED) as peer:
        ran = carecase("failed", JOB, "my cases.ndjson", "--url", peer.url)
    text = "1 of 2 items were not applied. They are in my cases.failed.ndjson, each with its reason.\n"
    sends = f"Correct them there, then send them: carecase resend {JOB} 'my cases.failed.ndjson'\n"
    assert (ran.status, ran.out, ran.err) == (0, text, sends)


MAPPING = 'columns = ["case_Key", "carePlan_Key", "do_Not_Contact"]\n'


def test_reasons_that_have_no_place_in_the_rows_are_told_of_with_their_file(carecase: Carecase, tmp_path: Path) -> None:
    body = b"1,5,false\n2,5,no\n"
    (tmp_path / "cases.csv").write_bytes(body)
    (tmp_path / "m.toml").write_text(MAPPING)
    sent = [{"case_Key": 1, "carePlan_Key": 5, "do_Not_Contact": False}, {**CASE_2, "do_Not_Contact": "no"}]
    made = json.dumps(sent, separators=(",", ":")).encode()
    job = the_job(created=1, failed=1, bodySha256=hashlib.sha256(made).hexdigest())
    options = ("--mapping", "m.toml", "--url")
    with answering(job, job, *SECOND_FAILED, job, job, *SECOND_FAILED) as peer:
        ran = carecase("failed", JOB, "cases.csv", *options, peer.url)
        given = carecase("failed", JOB, "cases.csv", "--json", "--to", "mend.csv", *options, peer.url)
    reasons = "and their reasons, by line, in cases.failed.csv.reasons.csv.\n"
    assert (ran.status, ran.out.endswith(reasons)) == (0, True), ran
    assert ran.err.endswith(f"carecase resend {JOB} cases.failed.csv --mapping m.toml\n")
    assert (tmp_path / "cases.failed.csv").read_bytes() == b"2,5,no\n"
    document = {"count": 1, "file": "mend.csv", "reasons": "mend.csv.reasons.csv"}
    assert (given.status, json.loads(given.out), given.err) == (0, document, "")


def test_mended_rows_are_read_by_their_mapping(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "mended.csv").write_bytes(b"2,5,no\n")
    (tmp_path / "m.toml").write_text(MAPPING)
    with answering(the_job(), accepted(job_id=NEW, total=1)) as peer:
        ran = carecase("resend", JOB, "mended.csv", "--mapping", "m.toml", "--no-watch", "--url", peer.url)
    assert (ran.status, json.loads(peer.received[1].body)) == (0, [{**CASE_2, "do_Not_Contact": "no"}]), ran


FHIR = ("--mapping", "fhir-r4-episode-of-care")


def a_job_of_episodes(place: Path) -> Reply:
    """Write two resources to episodes.ndjson; give their job, whose cases got its care plan."""
    lines = [b'{"resourceType":"EpisodeOfCare","id":"%d","status":"active"}\n' % number for number in (1, 2)]
    (place / "episodes.ndjson").write_bytes(b"".join(lines))
    fields = [{"case_Key": n, "case_ID": str(n), "case_Status": "ACTIVE", "do_Not_Contact": False} for n in (1, 2)]
    made = json.dumps([{**case, "carePlan_Key": 5} for case in fields], separators=(",", ":")).encode()
    return the_job(created=1, failed=1, bodySha256=hashlib.sha256(made).hexdigest())


def test_failed_episodes_are_found_by_the_care_plan_of_their_job(carecase: Carecase, tmp_path: Path) -> None:
    job = a_job_of_episodes(tmp_path)
    with answering(job, job, *SECOND_FAILED) as peer:
        ran = carecase("failed", JOB, "episodes.ndjson", *FHIR, "--url", peer.url)
    assert ran.status == 0, ran.err
    (failed,) = map(json.loads, (tmp_path / "episodes.failed.ndjson").read_text().splitlines())
    assert (failed["resourceType"], failed["id"], failed["_reason"]) == ("EpisodeOfCare", "2", "wrong")


def test_the_whole_file_of_episodes_is_not_sent_again(carecase: Carecase, tmp_path: Path) -> None:
    """It would undo whatever was written to its cases since."""
    with answering(a_job_of_episodes(tmp_path)) as peer:
        ran = carecase("resend", JOB, "episodes.ndjson", *FHIR, "--url", peer.url)
    assert (ran.status, f"episodes.ndjson: is the whole file of job {JOB}" in ran.err) == (2, True), ran.err
    assert peer.calls == [f"GET /jobs/{JOB}"]


@pytest.mark.parametrize(
    ("failed", "document"),
    [
        (SECOND_FAILED, {"count": 1, "file": "cases.failed.ndjson", "reasons": None}),
        (NOTHING_FAILED, {"count": 0, "file": None, "reasons": None}),
    ],
    ids=["some", "none"],
)
def test_for_scripts_what_was_written_is_a_document(
    carecase: Carecase, tmp_path: Path, failed: tuple[Reply, ...], document: dict[str, Any]
) -> None:
    (tmp_path / "cases.ndjson").write_bytes(LINES)
    with answering(the_job(), the_job(), *failed) as peer:
        ran = carecase("failed", JOB, "cases.ndjson", "--json", "--url", peer.url)
    assert (ran.status, json.loads(ran.out), ran.err) == (0, document, "")


@pytest.mark.parametrize(("last", "status"), [({"created": 2}, 0), ({"created": 1, "failed": 1}, 1)], ids=str)
def test_what_is_sent_again_is_followed_to_its_end(
    carecase: Carecase, tmp_path: Path, last: dict[str, Any], status: int
) -> None:
    (tmp_path / "cases.ndjson").write_bytes(LINES)
    with answering(the_job(), accepted(job_id=NEW, total=2), job_reply(job_id=NEW, total=2, **last)) as peer:
        ran = carecase("failed", JOB, "cases.ndjson", "--resend", "--url", peer.url)
    assert (ran.status, f"job {NEW} completed: 2 of 2" in ran.out) == (status, True)
    assert peer.calls[1:] == [f"POST /jobs/{JOB}/retry", f"GET /jobs/{NEW}"]
