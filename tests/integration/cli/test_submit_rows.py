"""submit of files of rows that are converted here, and of dry runs of which something would fail."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.builders import a_batch, a_case
from tests.integration.cli.commands import Carecase, ctrl_c_at, piped
from tests.peers import JOB, Reply, accepted, answering, items, job_reply, problem

from carecase_worker.cli.sending.mappings import row_file
from carecase_worker.client.row_files import RowFile

MAPPING = 'columns = { "Case" = "case_Key", "DNC" = "do_Not_Contact" }\nconstants = { carePlan_Key = 5 }\n'
ROWS = b"Case,DNC\n1,false\n\n2,true\n"
CASES = [{"case_Key": 1, "do_Not_Contact": False}, {"case_Key": 2, "do_Not_Contact": True}]
SENT = [{**case, "carePlan_Key": 5} for case in CASES]
BY_MAPPING = ("--mapping", "m.toml", "--url")


@pytest.fixture(autouse=True)
def _a_mapping_and_rows(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING)
    (tmp_path / "rows.csv").write_bytes(ROWS)


def test_rows_are_validated_as_the_cases_that_they_become(carecase: Carecase) -> None:
    with answering(items((1, 200, "Valid"), (2, 422, "case_ID: is required"))) as peer:
        ran = carecase("submit", "rows.csv", "--validate-only", "--care-plan", "5", *BY_MAPPING, peer.url)
    assert (ran.status, ran.err) == (1, "")
    assert ran.out.endswith("1 of 2 items are valid. Nothing was applied.\n")
    assert peer.calls == ["PUT /care-plans/5/cases-batch?validateOnly=true"]
    assert json.loads(peer.received[0].body) == SENT


def test_rows_of_a_pipe_are_sent_as_the_cases_that_they_become(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(monkeypatch, ROWS)
    with answering(accepted(total=2), job_reply(total=2, created=1, failed=1)) as peer:
        ran = carecase("submit", "-", *BY_MAPPING, peer.url)
    assert (ran.status, "completed: 2 of 2 (1 created" in ran.out) == (1, True)
    assert json.loads(peer.received[0].body) == SENT
    assert "carecase failed" not in ran.err, "a pipe cannot be read again"


def test_episodes_get_the_care_plan_of_the_options(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "episodes.ndjson").write_bytes(b'{"resourceType":"EpisodeOfCare","id":"1","status":"active"}\n')
    options = ("--mapping", "fhir-r4-episode-of-care", "--care-plan", "5", "--no-watch")
    with answering(accepted(total=1)) as peer:
        assert carecase("submit", "episodes.ndjson", *options, "--url", peer.url).status == 0
    assert peer.calls == ["PUT /care-plans/5/cases-batch"]
    assert [case["carePlan_Key"] for case in json.loads(peer.received[0].body)] == [5]


@pytest.mark.parametrize("file", ["batch", "-", "rows.csv", "fields.csv"])
def test_the_options_go_with_a_batch_however_it_is_sent(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str
) -> None:
    """As it is, in parts, as rows that are converted here or by the service: a dry run that loses its name applies."""
    (tmp_path / "batch").write_bytes(a_batch(a_case(1), a_case(2)))
    (tmp_path / "fields.csv").write_text("case_Key,do_Not_Contact\n1,false\n2,true\n")
    piped(monkeypatch, a_batch(a_case(1), a_case(2)))
    options = ("--dry-run", "--care-plan", "7", "--database", "other", "--idempotency-key", "k", "--no-watch")
    mapping = ("--mapping", "m.toml") if file == "rows.csv" else ()
    with answering(accepted(total=2)) as peer:
        assert carecase("submit", file, *options, *mapping, "--url", peer.url).status == 0
    assert peer.calls == ["PUT /care-plans/7/cases-batch?dryRun=true"]
    sent = peer.received[0].headers
    assert (sent["vbasoftware-database"], sent["idempotency-key"]) == ("other", "k")


@pytest.mark.parametrize("options", [(), ("--strict",), BY_MAPPING[:2], (*BY_MAPPING[:2], "--strict")], ids=" ".join)
def test_ctrl_c_while_rows_await_their_answer_says_so(
    carecase: Carecase, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "fields.csv").write_text("case_Key,do_Not_Contact\n1,false\n2,true\n")
    file = "rows.csv" if "m.toml" in options else "fields.csv"
    with answering(Reply(202, silence_s=300)) as peer, ctrl_c_at(peer, 1):
        ran = carecase("submit", file, *options, "--url", peer.url)
    text = "Interrupted. A response was outstanding: carecase jobs shows if the last batch was accepted.\n"
    assert (ran.status, ran.out, ran.err.partition("To send")[0]) == (130, "", text)


def test_what_to_type_next_names_the_mapping(carecase: Carecase) -> None:
    with answering(accepted(total=2), job_reply(total=2, created=1, failed=1)) as peer:
        ran = carecase("submit", "rows.csv", *BY_MAPPING, peer.url)
    assert f": carecase failed {JOB} rows.csv --mapping m.toml\n" in ran.err
    with answering(items((1, 200, "Valid"), (2, 200, "Valid"))) as peer:
        ran = carecase("submit", "rows.csv", "--validate-only", *BY_MAPPING, peer.url)
    assert ran.err.endswith(": carecase submit rows.csv --mapping m.toml --dry-run\n")


def test_of_many_jobs_that_have_failures_five_are_named(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(a_batch(*(a_case(n) for n in range(8))))
    refusals = [problem(413)] * 4  # all of them, eight, four, two at a time
    jobs = [accepted(job_id=f"j{n}", total=1) for n in range(8)]
    finals = [job_reply(job_id=f"j{n}", total=1, failed=1) for n in range(8)]
    with answering(*refusals, *jobs, *finals) as peer:
        ran = carecase("submit", "batch", "--url", peer.url)
    assert ran.status == 1
    assert [f"carecase result j{n} --failed" in ran.err for n in range(8)] == [True] * 5 + [False] * 3
    assert ran.err.endswith("\nFor the other jobs, see: carecase jobs\n")


def test_of_a_bad_file_nothing_is_sent_though_its_first_part_is_good(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(ROWS + b"3,true\n" * 200_000 + b"3\n")  # two parts are whole before it
    with answering() as peer:
        ran = carecase("submit", "rows.csv", *BY_MAPPING, peer.url)
    assert (ran.status, ran.out, peer.calls) == (2, "", [])
    assert "rows.csv: Line 200005 has 1 cell" in ran.err


def test_rows_go_whole_where_all_or_nothing_is_wanted(carecase: Carecase) -> None:
    with answering(accepted(total=2)) as peer:
        ran = carecase("submit", "rows.csv", "--strict", "--no-watch", *BY_MAPPING, peer.url)
    assert ran.status == 0, ran.err
    assert (json.loads(peer.received[0].body), peer.received[0].headers["prefer"]) == (SENT, "handling=strict")


def test_a_dry_run_and_validation_without_the_database_exclude_each_other(carecase: Carecase) -> None:
    with answering() as peer:
        ran = carecase("submit", "rows.csv", "--validate-only", "--dry-run", *BY_MAPPING, peer.url)
    assert (ran.status, ran.out, peer.calls) == (2, "", [])
    assert "--dry-run: uses the database, --validate-only does not: give one of them" in " ".join(ran.err.split())


def test_what_a_dry_run_would_not_apply_cannot_be_retried(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(a_batch(*(a_case(n) for n in range(3))))
    replies: list[Reply] = [accepted(dryRun=True), job_reply(created=2, failed=1, dryRun=True)]
    with answering(*replies) as peer:
        ran = carecase("submit", "batch", "--dry-run", "--url", peer.url)
    assert ran.status == 1
    assert ran.err.splitlines()[-2:] == [
        f"1 would not be applied. To see which, and why: carecase result {JOB} --failed",
        f"To correct those items in a new file: carecase failed {JOB} batch",
    ]


@pytest.mark.parametrize("form", ["csv", "TSV", "tab", "psv", "xlsx", "xlsm", "xlsb", "xls", "ods", "parquet"])
def test_a_file_whose_name_says_rows_is_taken_for_rows(tmp_path: Path, form: str) -> None:
    """Of tables that cannot be read the client says what to do; as cases they would be no JSON."""
    assert isinstance(row_file(tmp_path / f"a.{form}", None), RowFile)
    assert isinstance(row_file(tmp_path / f"a.{form}.gz", None), RowFile)
    assert isinstance(row_file(tmp_path / f"a.{form}.zst", None), RowFile)
    assert row_file(tmp_path / f"a.{form}.json", None) is None


@pytest.mark.parametrize("mapping", ["m.toml", "referrals"])
def test_rows_of_a_pipe_go_whole_where_all_or_nothing_is_wanted(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch, mapping: str
) -> None:
    """In parts, or without the preference, the good rows would be applied without the bad ones."""
    piped(monkeypatch, ROWS)
    with answering(accepted(total=2)) as peer:
        ran = carecase("submit", "-", "--strict", "--no-watch", "--mapping", mapping, "--url", peer.url)
    assert ran.status == 0, ran.err
    (put,) = peer.received
    assert put.headers["prefer"] == "handling=strict"
    assert (put.body == ROWS, put.path) == (
        (False, "/care-cases-batch") if mapping == "m.toml" else (True, "/care-cases-batch?mapping=referrals")
    )


def test_rows_of_a_named_pipe_are_read_once(carecase: Carecase, tmp_path: Path) -> None:
    """As from `carecase submit <(…) --mapping m.toml`: a second look at it would see nothing."""
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as beside, answering(accepted(total=2)) as peer:
        beside.submit((tmp_path / "pipe").write_bytes, ROWS)
        ran = carecase("submit", "pipe", "--no-watch", *BY_MAPPING, peer.url)
    assert ran.status == 0, ran.err
    assert json.loads(peer.received[0].body) == SENT
