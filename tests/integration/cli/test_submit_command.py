"""submit: what is sent, what is said meanwhile, and how it ends, by what the service says."""

import gzip
import io
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.builders import a_batch, a_case
from tests.integration.cli.commands import Carecase, ctrl_c_at, piped
from tests.peers import JOB, Reply, a_job, accepted, answering, items, job_reply, problem

BATCH = a_batch(*(a_case(n) for n in range(3)))
LINES = b"".join(json.dumps(a_case(n)).encode() + b"\n" for n in range(3))
DONE: dict[str, Any] = {"created": 3}
SUMMARY = f"job {JOB} completed: 3 of 3 (3 created, 0 updated, 0 superseded, 0 failed, 0 cancelled)"
ACCEPTED = r"accepted as job \S+: 3 items in [0-9]+\.[0-9]{2} s\n"
RATE = r"[0-9,]+ cases/s from the first byte to the last case, [0-9]+\.[0-9]{2} s\n"


@pytest.mark.parametrize(
    ("content", "kind", "encoding"),
    [
        (BATCH, "application/json", None),
        (LINES, "application/x-ndjson", None),
        (gzip.compress(LINES), "application/x-ndjson", "gzip"),
    ],
    ids=["an array", "lines", "gzip"],
)
def test_a_file_is_sent_as_it_is_and_its_job_followed_to_the_end(
    carecase: Carecase, tmp_path: Path, content: bytes, kind: str, encoding: str | None
) -> None:
    (tmp_path / "batch").write_bytes(content)
    with answering(accepted(), job_reply(state="running"), job_reply(**DONE)) as peer:
        ran = carecase("submit", "batch", "--url", peer.url, "--database", "d", "--api-key", "k", "--token", "t")
    assert (ran.status, ran.out) == (0, SUMMARY + "\n")
    assert re.fullmatch(ACCEPTED + RATE, ran.err), ran.err
    assert peer.calls == ["PUT /care-cases-batch", *[f"GET /jobs/{JOB}"] * 2]
    put = peer.received[0]
    assert put.body == content
    names = ("content-type", "content-encoding", "vbasoftware-database", "x-api-key", "authorization", "prefer")
    assert [put.headers.get(name) for name in names] == [kind, encoding, "d", "k", "Bearer t", None]
    assert len(put.headers["idempotency-key"]) == 36


def test_options_go_with_the_batch(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(BATCH)
    options = ("--care-plan", "5", "--strict", "--idempotency-key", "mine", "--no-watch", "--json")
    with answering(accepted(carePlanKey=5)) as peer:
        ran = carecase("submit", "batch", *options, "--url", peer.url)
    assert (ran.status, json.loads(ran.out)["carePlanKey"], ran.out.count("\n")) == (0, 5, 1)
    goes_on = f"It continues by itself. To watch it: carecase status {JOB} --watch\n"
    assert re.fullmatch(ACCEPTED + re.escape(goes_on), ran.err)
    assert peer.calls == ["PUT /care-plans/5/cases-batch"]
    assert peer.received[0].headers["prefer"] == "handling=strict"
    assert peer.received[0].headers["idempotency-key"] == "mine"
    assert "vbasoftware-database" not in peer.received[0].headers


@pytest.mark.parametrize(
    ("last", "status", "count"),
    [({"created": 2, "failed": 1}, 1, 1), ({"state": "cancelled", "created": 1, "cancelled": 2}, 1, 2), (DONE, 0, 0)],
)
def test_the_status_says_if_all_was_applied_and_the_advice_what_to_type(
    carecase: Carecase, tmp_path: Path, last: dict[str, Any], status: int, count: int
) -> None:
    (tmp_path / "batch").write_bytes(BATCH)
    with answering(accepted(), job_reply(**last)) as peer:
        ran = carecase("submit", "batch", "--url", peer.url)
    advice = (
        f"{count} not applied. To see which, and why: carecase result {JOB} --failed\n"
        f"To correct those items in a new file: carecase failed {JOB} batch\n"
        f"To retry those with 500, 503 or Cancelled: carecase retry {JOB}\n"
    )
    assert ran.status == status
    assert re.fullmatch(ACCEPTED + RATE + (re.escape(advice) if count else ""), ran.err), ran.err


def test_what_is_too_large_goes_in_parts_under_keys_of_their_own(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(LINES)
    replies = [problem(413), problem(413), accepted(job_id="1", total=2), accepted(job_id="2", total=1)]
    finals = [job_reply(job_id="1", total=2, created=2), job_reply(job_id="2", total=1, failed=1)]
    with answering(*replies, *finals) as peer:
        ran = carecase("submit", "batch", "--idempotency-key", "k", "--url", peer.url)
    assert ran.status == 1
    assert ran.out == (
        "job 1 completed: 2 of 2 (2 created, 0 updated, 0 superseded, 0 failed, 0 cancelled)\n"
        "job 2 completed: 1 of 1 (0 created, 0 updated, 0 superseded, 1 failed, 0 cancelled)\n"
        "2 jobs: 3 of 3 (2 created, 0 updated, 0 superseded, 1 failed, 0 cancelled)\n"
    )
    first, *others = ran.err.splitlines()
    assert first == "It is too large for one batch, so it is sent in several."
    assert [line.split(":")[0] for line in others[:2]] == ["accepted as job 1", "accepted as job 2"]
    assert others[-3:] == [
        "1 not applied. To see which, and why: carecase result 2 --failed",
        "To correct those items in a new file: carecase failed 2 batch",
        "To retry those with 500, 503 or Cancelled: carecase retry 2",
    ]
    assert [one.headers["idempotency-key"] for one in peer.received[:4]] == ["k", "k", "k", "k-2"]
    assert [len(json.loads(one.body)) for one in peer.received[1:4]] == [3, 2, 1]
    assert peer.calls[4:] == ["GET /jobs/1", "GET /jobs/2"]


def test_a_pipe_is_sent_as_an_array(carecase: Carecase, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(accepted(), job_reply(**DONE)) as peer:
        piped(monkeypatch, gzip.compress(LINES))
        ran = carecase("submit", "-", "--url", peer.url)
    assert (ran.status, ran.out) == (0, SUMMARY + "\n")
    assert json.loads(peer.received[0].body) == [a_case(n) for n in range(3)]
    assert peer.received[0].headers["content-type"] == "application/json"


STRICT_BYTES = 16 << 20


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_pipe_that_must_go_as_a_whole_has_a_bound(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch, beyond: int
) -> None:
    piped(monkeypatch, BATCH + b" " * (STRICT_BYTES - len(BATCH) + beyond))
    with answering(accepted(), job_reply(**DONE)) as peer:
        ran = carecase("submit", "-", "--strict", "--url", peer.url)
        if not beyond:
            assert (ran.status, len(peer.received[0].body)) == (0, STRICT_BYTES)
        else:
            text = "--strict takes one batch, from a pipe 16 MiB at most. Send less."
            assert (ran.status, ran.out, peer.calls) == (2, "", [])
            nothing = "It was not completed." in ran.err
            assert (ran.err, nothing) == (f"{text}\nThe service's URL is {peer.url} (--url).\n", False)


def test_what_was_accepted_before_a_refusal_is_reported(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(LINES)
    replies = [problem(413), problem(413), accepted(job_id="1", total=2), problem(403)]
    with answering(*replies) as peer:
        ran = carecase("submit", "batch", "--url", peer.url)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.splitlines()[2:] == [
        "It was not completed. Accepted batches are not lost: job 1 continues.",
        "To watch: carecase status 1 --watch. To cancel: carecase cancel 1",
        "403: So it is. Check the database's name, and what this client may use.",
        f"The service's URL is {peer.url} (--url).",
    ]


OUTSTANDING = "A response was outstanding: carecase jobs shows if the last batch was accepted."
AGAIN = "To send the same again, but make no second job of it, add --idempotency-key {}"
ONE, TWO = accepted(job_id="1", total=2), accepted(job_id="2", total=1)


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([Reply(202, silence_s=300)], [f"Interrupted. {OUTSTANDING}", AGAIN]),
        (
            [accepted(), Reply(200, silence_s=300)],
            [
                f"Interrupted. Accepted batches are not lost: job {JOB} continues.",
                f"To watch: carecase status {JOB} --watch. To cancel: carecase cancel {JOB}",
            ],
        ),
        (
            [problem(413), problem(413), ONE, TWO, Reply(200, silence_s=300)],
            [
                "Interrupted. Accepted batches are not lost: 2 jobs continue.",
                "To watch: carecase status 2 --watch. To cancel: carecase cancel 2",
                "The other jobs: carecase jobs",
            ],
        ),
    ],
    ids=["nothing", "one", "two"],
)
def test_ctrl_c_says_what_was_accepted_and_goes_on(
    carecase: Carecase, tmp_path: Path, replies: list[Reply], expected: list[str]
) -> None:
    (tmp_path / "batch").write_bytes(LINES)
    with answering(*replies) as peer, ctrl_c_at(peer, len(replies)):
        ran = carecase("submit", "batch", "--url", peer.url)
    assert (ran.status, ran.out) == (130, "")
    key = peer.received[0].headers["idempotency-key"]
    assert ran.err.splitlines()[-len(expected) :] == [line.format(key) for line in expected]
    assert ran.err.count("Interrupted.") == 1


def test_ctrl_c_before_anything_was_sent_says_so(carecase: Carecase, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe(io.RawIOBase):
        """Somebody presses Ctrl-C while it is read."""

        def readable(self) -> bool:
            return True

        def readinto(self, _: Any) -> int:
            signal.raise_signal(signal.SIGINT)
            return 0

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Pipe())))
    with answering() as peer:
        ran = carecase("submit", "-", "--url", peer.url)
    assert (ran.status, ran.out, ran.err, peer.calls) == (130, "", "Interrupted. Nothing was accepted.\n", [])


def test_a_file_that_is_refused_is_reported_and_nothing_else(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(BATCH)
    with answering(problem(422)) as peer:
        ran = carecase("submit", "batch", "--url", peer.url)
    assert (ran.status, ran.out, ran.err) == (2, "", f"422: So it is.\nThe service's URL is {peer.url} (--url).\n")
    assert len(peer.calls) == 1


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("b.json.gz", LINES, "b.json.gz is not gzip, despite its name; it is sent by its content."),
        ("b.zst", gzip.compress(LINES), "b.zst is not zstd, despite its name; it is sent by its content."),
        ("b.GZ", LINES, "b.GZ is not gzip, despite its name; it is sent by its content."),
        ("b.gz", gzip.compress(LINES), None),
        ("b.json", gzip.compress(LINES), None),
    ],
    ids=["no gzip", "no zstd", "in capitals", "gzip", "gzip without a name"],
)
def test_a_name_that_misleads_is_reported(
    carecase: Carecase, tmp_path: Path, name: str, content: bytes, text: str | None
) -> None:
    (tmp_path / name).write_bytes(content)
    with answering(accepted()) as peer:
        ran = carecase("submit", name, "--no-watch", "--url", peer.url)
    assert ran.status == 0
    assert ran.err.splitlines()[:1] == [text] if text else "despite" not in ran.err
    assert peer.received[0].body == content


BAD = (2, 422, "case_ID: must be a string")


def test_what_is_validated_is_reported_item_by_item(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(LINES)
    replies = [items((0, 200, "Valid"), (None, 422, "case_Key: is required"), BAD)] * 2
    with answering(*replies) as peer:
        ran = carecase("submit", "batch", "--validate-only", "--care-plan", "5", "--url", peer.url)
        given = carecase("submit", "batch", "--validate-only", "--json", "--url", peer.url)
    assert (ran.status, ran.err) == (1, "")
    assert ran.out == (
        "index  case_Key  status  body\n"
        "1                422     case_Key: is required\n"
        "2      2         422     case_ID: must be a string\n"
        "1 of 3 items are valid. Nothing was applied.\n"
    )
    assert peer.calls == [f"PUT /{path}?validateOnly=true" for path in ("care-plans/5/cases-batch", "care-cases-batch")]
    assert (given.status, given.err, given.out.count("\n")) == (1, "", 1)
    assert [(one["index"], one["status"]) for one in json.loads(given.out)] == [(0, 200), (1, 422), (2, 422)]
    with answering(items(*[(n, 200, "Valid") for n in range(3)])) as peer:
        ran = carecase("submit", "batch", "--validate-only", "--url", peer.url)
    assert (ran.status, ran.out) == (0, "3 of 3 items are valid. Nothing was applied.\n")
    assert ran.err.endswith("what would change: carecase submit batch --dry-run\n")


def test_after_a_good_dry_run_the_command_that_applies_it_is_shown(carecase: Carecase, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(LINES)
    final = job_reply(total=3, created=3, dryRun=True)
    with answering(accepted(total=3, dryRun=True), final, items(pages=(1, 1))) as peer:
        options = ("--care-plan", "5", "--database", "other", "--strict")
        ran = carecase("submit", "batch", "--dry-run", *options, "--url", peer.url)
    assert ran.status == 0, ran.err
    assert ran.err.endswith(f"Nothing was applied. To apply it: carecase submit batch {' '.join(options)}\n")


@pytest.mark.parametrize(("count", "named"), [(5, 5), (6, 5)])
def test_of_many_jobs_five_are_named(carecase: Carecase, tmp_path: Path, count: int, named: int) -> None:
    """The service takes one item at a time, so each case is a job."""
    (tmp_path / "batch").write_bytes(b"".join(json.dumps(a_case(n)).encode() + b"\n" for n in range(count)))
    refusals = [problem(413)] * (1 + len(halvings(count)))
    jobs = [Reply(202, {"job": a_job("queued", 1, f"j{n}")}) for n in range(count)]
    with answering(*refusals, *jobs) as peer:
        ran = carecase("submit", "batch", "--no-watch", "--url", peer.url)
    assert ran.status == 0
    lines = [line for line in ran.err.splitlines() if "by itself" in line]
    assert lines == [f"It continues by itself. To watch it: carecase status j{n} --watch" for n in range(named)]
    assert ("For the other jobs, see: carecase jobs" in ran.err.splitlines()) == (count > named)


def halvings(count: int) -> list[int]:
    """The sizes of the batches that are too large for a service that takes one item."""
    sizes = []
    while count > 1:
        sizes.append(count)
        count = -(-count // 2)
    return sizes
