"""A file of a watched folder, sent to a service: what it is told of, and whose fault it is if it is not applied."""

import json
from pathlib import Path

import pytest
from tests.integration.cli.commands import Carecase
from tests.integration.cli.dropping import ROWS, acknowledged, applied, dropping, send
from tests.peers import JOB, Reply, accepted, answering, items, job_reply, problem

from carecase_worker.cli.sending.dropping import DropOptions, Filed
from carecase_worker.errors import CallerRefused

SECOND = "0199c0de-0000-7000-8000-000000000002"


def test_a_file_is_known_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    keys = []
    with dropping(tmp_path, *applied(), *applied(), *applied()) as (one, peer, printed):
        for name, text in (("a.csv", ROWS), ("a.csv", ROWS + "3,5,false\n"), ("b.csv", ROWS)):
            (tmp_path / name).write_text(text)
            assert send(one) == [Filed.DONE]
            keys.append([sent for sent in peer.received if sent.method == "PUT"][-1].headers["idempotency-key"])
    assert keys[0] == keys[2] != keys[1]
    assert "a.csv: 2 of 2 rows applied" in printed.getvalue()


@pytest.mark.parametrize(
    "replies",
    [
        [problem(503, "The database is away.")],
        [accepted(), problem(503, "The store is away.")],
        [accepted(), job_reply(total=2, created=2), problem(503, "The store is away.")],
        [accepted(), problem(404, "There is no such job.")],
    ],
    ids=["as it is sent", "as its job is waited for", "as the result is read", "its job is lost"],
)
def test_a_file_stays_to_be_sent_again_while_the_service_is_away(tmp_path: Path, replies: list[Reply]) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    with dropping(tmp_path, *replies, *applied()) as (one, peer, printed):
        assert send(one) == [Filed.LATER]
        assert "a.csv: will be tried again." in printed.getvalue()
        assert [file.name for file in tmp_path.glob("*/a.csv*")] == ["a.csv"]
        assert send(one) == [Filed.DONE]
        sent = [request.headers["idempotency-key"] for request in peer.received if request.method == "PUT"]
    assert sent[0] == sent[1], "it may have been taken the first time"
    assert {file.name for file in (tmp_path / "done").iterdir()} == {"a.csv", "a.csv.ack.csv"}


def test_a_file_that_is_refused_gets_an_acknowledgement_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    with dropping(tmp_path, problem(400, "Line 2 has 2 cells, and there are 3 columns.")) as (one, _, printed):
        assert send(one) == [Filed.FAILED]
    (row,) = acknowledged(tmp_path / "failed" / "a.csv.ack.csv")
    assert (row["status"], row["outcome"], row["index"]) == ("400", "failed", "")
    assert row["body"].startswith("Line 2 has 2 cells"), "the status is in its own column"
    assert "a.csv: refused. 400: Line 2 has 2 cells" in printed.getvalue()


def test_what_was_wrong_with_the_options_can_be_corrected(tmp_path: Path) -> None:
    """By another mapping, for another care plan or database, a file is another batch: a key refuses another one."""
    mapping, folder = tmp_path / "m.toml", tmp_path / "folder"
    folder.mkdir()
    keys = []
    trim = "trim = true\n"
    for database, care_plan, text in (("d", 5, ""), ("d", 6, ""), ("e", 6, ""), ("d", 6, trim), ("d", 6, trim)):
        mapping.write_text(text)
        (folder / "a.csv").write_text(ROWS)
        options = DropOptions(settle=0, mapping=str(mapping), care_plan=care_plan)
        with dropping(folder, *applied(), options=options, database=database) as (one, peer, _):
            assert send(one) == [Filed.DONE]
        keys.append(peer.received[0].headers["idempotency-key"])
    assert len(set(keys)) == 4
    assert keys[3] == keys[4]


def test_a_file_that_is_dropped_for_another_mapping_of_the_service_is_another_batch(tmp_path: Path) -> None:
    keys = set()
    for mapping in ("referrals", "members", None):
        (tmp_path / "a.csv").write_text(ROWS)
        with dropping(tmp_path, *applied(), options=DropOptions(settle=0, mapping=mapping)) as (one, peer, _):
            assert send(one) == [Filed.DONE]
        keys.add(peer.received[0].headers["idempotency-key"])
    assert len(keys) == 3


def test_a_mapping_that_cannot_be_read_is_no_fault_of_a_file(tmp_path: Path, carecase: Carecase) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    flags = ("--url", "http://127.0.0.1:1", "--api-key", "k", "--token", "t", "--database", "d")
    ran = carecase("drop", str(tmp_path), "--once", "--settle", "0", "--mapping", str(tmp_path / "no.toml"), *flags)
    assert (ran.status, "no.toml: cannot be read" in ran.err) == (2, True)
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("flags", "text"),
    [(("--database", "d"), "This client has no mapping of that name."), ((), "Set --database, or CARECASE_DATABASE.")],
    ids=["mapping", "database"],
)
def test_options_that_the_service_refuses_are_no_fault_of_a_file(
    tmp_path: Path, carecase: Carecase, flags: tuple[str, ...], text: str
) -> None:
    """Else every file of every partner would be filed under failed, by one wrong letter."""
    (tmp_path / "a.csv").write_text(ROWS)
    with answering(problem(422, "This client has no mapping of that name.")) as peer:
        access = ("--url", peer.url, "--api-key", "k", "--token", "t")
        ran = carecase("drop", str(tmp_path), "--once", "--settle", "0", "--mapping", "nosuch", *access, *flags)
    assert (ran.status, text in ran.err) == (2, True), ran.err
    assert not list((tmp_path / "failed").iterdir())


def test_a_slow_network_is_no_fault_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    with dropping(tmp_path, problem(408, "The body arrives too slowly.")) as (one, _, _):
        assert send(one) == [Filed.LATER]


def test_rows_that_are_converted_here_are_acknowledged_by_their_lines(tmp_path: Path) -> None:
    mapping, folder = tmp_path / "m.toml", tmp_path / "folder"
    folder.mkdir()
    mapping.write_text("trim = true\n")
    (folder / "a.csv").write_text("case_Key,carePlan_Key,do_Not_Contact\n\n1,5,false\n\n2,5,no\n3,5,no\n")
    told_of = items((1, 201, "Created"), (2, 422, "no"), (3, 422, "no"), pages=(1, 1), indexes=range(3))
    replies = accepted(total=3), job_reply(total=3, created=1, failed=2), told_of
    with dropping(folder, *replies, options=DropOptions(settle=0, mapping=str(mapping))) as (one, _, printed):
        assert send(one) == [Filed.FAILED]
    assert [row["line"] for row in acknowledged(folder / "failed" / "a.csv.ack.csv")] == ["3", "5", "6"]
    assert f"1 of 3 rows applied, by job {JOB}" in printed.getvalue()


def test_a_file_that_was_sent_before_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    final = accepted(state="completed", total=2, created=2)
    with dropping(tmp_path, final, *applied()[1:]) as (one, _, printed):
        assert send(one) == [Filed.DONE]
    assert "a.csv: was sent before; 2 of 2 rows applied" in printed.getvalue()


def test_once_waits_for_as_long_as_a_file_must_not_change(tmp_path: Path, carecase: Carecase) -> None:
    """However long that is: a process that looked twice within it would find nothing complete, and send nothing."""
    (tmp_path / "a.csv").write_text(ROWS)
    with answering(*applied()) as peer:
        flags = ("--url", peer.url, "--api-key", "k", "--token", "t", "--database", "d")
        ran = carecase("drop", str(tmp_path), "--once", "--settle", "2.5", *flags)
    assert (ran.status, "a.csv: 2 of 2 rows applied" in ran.err) == (0, True), ran.err


def test_once_goes_on_while_the_service_is_away(tmp_path: Path, carecase: Carecase) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    with answering(problem(503, "The database is away.", retry_after="9"), *applied()) as peer:
        flags = ("--url", peer.url, "--api-key", "k", "--token", "t", "--database", "d", "--timeout", "1")
        ran = carecase("drop", str(tmp_path), "--once", "--settle", "0", *flags)
    assert ran.status == 0, ran.err
    away, done = ran.err.splitlines()
    assert away.startswith("a.csv: will be tried again. 503: The database is away.")
    assert done.startswith("a.csv: 2 of 2 rows applied")
    assert {file.name for file in (tmp_path / "done").iterdir()} == {"a.csv", "a.csv.ack.csv"}


def test_once_ends_with_1_though_the_files_that_were_tried_again_are_done(tmp_path: Path, carecase: Carecase) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(ROWS + f"3,5,{name}\n")
    refused, away = problem(400, "Line 4 is wrong."), problem(503, "The database is away.", retry_after="9")
    with answering(refused, away, *applied()) as peer:
        flags = ("--url", peer.url, "--api-key", "k", "--token", "t", "--database", "d", "--timeout", "1")
        ran = carecase("drop", str(tmp_path), "--once", "--settle", "0", *flags)
    assert [file.name for place in ("failed", "done") for file in (tmp_path / place).glob("?.csv")] == [
        "a.csv",
        "b.csv",
    ]
    assert ran.status == 1, ran.err


@pytest.mark.parametrize("name", ["a.csv", "a.json"], ids=["as it is", "in parts"])
def test_a_file_goes_to_the_care_plan_and_the_database_of_the_options(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(ROWS if name == "a.csv" else '[{"case_Key": 1}, {"case_Key": 2}]')
    with dropping(tmp_path, *applied(), options=DropOptions(settle=0, care_plan=7)) as (one, peer, _):
        assert send(one) == [Filed.DONE]
    batch = peer.received[0]
    assert (batch.path, batch.headers["vbasoftware-database"]) == ("/care-plans/7/cases-batch", "d")


def test_episodes_get_the_care_plan_of_the_options(tmp_path: Path) -> None:
    lines = [f'{{"resourceType":"EpisodeOfCare","id":"{key}","status":"active"}}\n' for key in (1, 2)]
    (tmp_path / "a.ndjson").write_text("".join(lines))
    options = DropOptions(settle=0, mapping="fhir-r4-episode-of-care", care_plan=7)
    with dropping(tmp_path, *applied(), options=options) as (one, peer, _):
        assert send(one) == [Filed.DONE]
    assert [case["carePlan_Key"] for case in json.loads(peer.received[0].body)] == [7, 7]


def test_credentials_that_are_refused_are_no_fault_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    with dropping(tmp_path, problem(401, "The API key is not known.")) as (one, _, _), pytest.raises(CallerRefused):
        send(one)
    assert (tmp_path / ".sending" / "a.csv").exists()


@pytest.mark.parametrize(
    ("counts", "place", "printed"),
    [
        ({"created": 1, "superseded": 1}, "done", "2 of 2 rows applied"),
        ({"created": 1, "failed": 1}, "failed", "1 of 2 rows applied"),
        ({"created": 1, "cancelled": 1}, "failed", "1 of 2 rows applied"),
    ],
)
def test_a_file_is_done_only_if_every_row_was_applied(
    tmp_path: Path, counts: dict[str, int], place: str, printed: str
) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    replies = accepted(total=2), job_reply(total=2, **counts), items((1, 201, ""), (2, 422, "no"), pages=(1, 1))
    with dropping(tmp_path, *replies) as (one, _, output):
        assert send(one) == [Filed(place)]
    assert (tmp_path / place / "a.csv").exists()
    assert printed in output.getvalue()


def test_a_file_that_goes_in_parts_has_one_acknowledgement_with_each_row_at_its_place(tmp_path: Path) -> None:
    first, rest = 100_000, 2
    (tmp_path / "a.json").write_text(json.dumps([{"case_Key": key} for key in range(first + rest)]))
    replies = [
        accepted(total=first), accepted(total=rest, jobId=SECOND),
        job_reply(total=first, created=first), job_reply(total=rest, created=1, failed=1, jobId=SECOND),
        items((0, 201, ""), pages=(1, 1), indexes=(0,)),
        items((100_000, 201, ""), (100_001, 422, "carePlan_Key: is required"), pages=(1, 1), indexes=(0, 1)),
    ]  # fmt: skip
    with dropping(tmp_path, *replies) as (one, peer, _):
        assert send(one) == [Filed.FAILED]
    batches = [request for request in peer.received if request.method == "PUT"]
    assert [len(json.loads(batch.body)) for batch in batches] == [first, rest]
    assert len({batch.headers["idempotency-key"] for batch in batches}) == 2
    assert [call for call in peer.calls if "/result" in call] == [
        f"GET /jobs/{job}/result?page=1&pageSize=1000" for job in (JOB, SECOND)
    ]
    told_of = [
        (row["index"], row["status"], row["field"]) for row in acknowledged(tmp_path / "failed" / "a.json.ack.csv")
    ]
    assert told_of == [("0", "201", ""), ("100000", "201", ""), ("100001", "422", "carePlan_Key")]


def test_each_row_of_a_file_that_goes_in_parts_is_acknowledged_by_its_own_line(tmp_path: Path) -> None:
    mapping, folder = tmp_path / "m.toml", tmp_path / "folder"
    folder.mkdir()
    mapping.write_text("trim = true\n")
    (folder / "a.csv").write_text("case_Key,carePlan_Key,do_Not_Contact\n1,5,false\n\n2,5,false\n3,5,no\n\n4,5,no\n")
    replies = [
        problem(413), accepted(total=2), accepted(total=2, jobId=SECOND),
        job_reply(total=2, created=2), job_reply(total=2, failed=2, jobId=SECOND),
        items((1, 201, "Created"), (2, 201, "Created"), pages=(1, 1), indexes=(0, 1)),
        items((3, 422, "no"), (4, 422, "no"), pages=(1, 1), indexes=(0, 1)),
    ]  # fmt: skip
    with dropping(folder, *replies, options=DropOptions(settle=0, mapping=str(mapping))) as (one, _, _):
        assert send(one) == [Filed.FAILED]
    told_of = [(row["index"], row["line"]) for row in acknowledged(folder / "failed" / "a.csv.ack.csv")]
    assert told_of == [("0", "2"), ("1", "4"), ("2", "5"), ("3", "7")]


def test_a_file_must_not_have_changed_for_ten_seconds_unless_somebody_says_otherwise() -> None:
    """A sender that pauses for a second or two, as over a slow network, would have half of a file sent."""
    assert DropOptions().settle == 10
