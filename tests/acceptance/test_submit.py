"""`carecase submit` and `status`: large files, pipes, files of another kind, interruptions, terminals."""

import gzip
import json
import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tests.acceptance.clients import client_of
from tests.acceptance.system import COMMAND, System, intake_beside, run
from tests.builders import a_case
from tests.pausing import paused_workers

from carecase_worker.settings.loading import process_environment

SMALL = "[intake]\nrate_per_second = 0\nmax_items = 100\n"
BAD = {"case_Status": "far too long"}


@pytest.fixture(scope="module")
def small(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """An intake that takes batches of up to 100 items."""
    with intake_beside(system, tmp_path_factory.mktemp("small"), SMALL) as started:
        yield started


def lines_of(count: int, first_key: int, bad: int | None = None) -> bytes:
    """A file of cases, one a line; one of them may break a rule."""
    cases = (a_case(first_key + n, **(BAD if n == bad else {})) for n in range(count))
    return b"".join(json.dumps(case).encode() + b"\n" for case in cases)


def keys_in(system: System, first_key: int) -> int:
    inside = f"case_key >= {first_key} AND case_key < {first_key + 1000}"
    return int(system.query(f"SELECT count(*) FROM care_case WHERE {inside}")[0][0])


@pytest.mark.parametrize("way", ["file", "pipe"])
def test_what_is_too_large_for_the_service_goes_in_several_batches(small: System, first_key: int, way: str) -> None:
    raw = lines_of(250, first_key)
    (small.place / "large").write_bytes(gzip.compress(raw))
    key = f"large {first_key}"
    arguments = ["submit", "-" if way == "pipe" else "large", "--json", "--idempotency-key", key]

    def sent() -> list[dict[str, Any]]:
        options = {"input": raw.decode()} if way == "pipe" else {}
        ran = run(*arguments, cwd=small.place, **options)
        assert ran.returncode == 0, ran.stderr
        return [json.loads(line) for line in ran.stdout.splitlines()]

    jobs = sent()
    assert [job["total"] for job in jobs if job["total"] > 100] == []
    assert sum(job["created"] for job in jobs) == 250
    assert keys_in(small, first_key) == 250
    assert [job["jobId"] for job in sent()] == [job["jobId"] for job in jobs], "the same key, the same jobs"


def test_the_client_cuts_what_is_too_large_for_the_service(small: System, first_key: int) -> None:
    with client_of(small) as client:
        jobs = [client.wait(job, timeout=300) for job in client.submit_all(a_case(first_key + n) for n in range(450))]
    assert [job.state for job in jobs] == ["completed"] * len(jobs)
    assert sum(job.created for job in jobs) == 450
    assert max(job.total for job in jobs) <= 100


def test_a_file_of_several_batches_ends_with_the_counts_of_all(small: System, first_key: int) -> None:
    (small.place / "large").write_bytes(lines_of(250, first_key, bad=240))
    ran = run("submit", "large", cwd=small.place)
    assert ran.returncode == 1
    *each, last = ran.stdout.splitlines()
    assert len(each) > 2
    assert re.fullmatch(r"\d jobs: 250 of 250 \(249 created, 0 updated, 0 superseded, 1 failed, 0 cancelled\)", last)
    (failed,) = [line.split()[1] for line in each if "1 failed" in line]
    assert f"carecase result {failed} --failed" in ran.stderr


def test_what_is_strict_is_never_cut(small: System, first_key: int) -> None:
    raw = lines_of(250, first_key)
    (small.place / "large").write_bytes(raw)
    for file, options in (("large", {}), ("-", {"input": raw.decode()})):
        refused = run("submit", file, "--strict", cwd=small.place, **options)
        assert refused.returncode == 2
        assert "413" in refused.stderr
    assert keys_in(small, first_key) == 0
    strict = run("submit", "-", "--strict", cwd=small.place, input=lines_of(3, first_key, bad=1).decode())
    assert (strict.returncode, "0 created" in strict.stdout, "3 failed" in strict.stdout) == (1, True, True)
    assert run("submit", "-", "--strict", cwd=small.place, input=lines_of(3, first_key).decode()).returncode == 0


def test_what_is_validated_only_is_judged_item_by_item_and_not_applied(small: System, first_key: int) -> None:
    (small.place / "large").write_bytes(lines_of(250, first_key, bad=240))
    completed = run("submit", "large", "--validate-only", cwd=small.place)
    assert completed.returncode == 1
    heading, row, counts = completed.stdout.splitlines()
    assert heading.split() == ["index", "case_Key", "status", "body"]
    assert row.split(maxsplit=3) == ["240", str(first_key + 240), "422", "case_Status: must have at most 8 characters"]
    assert counts == "249 of 250 items are valid. Nothing was applied."
    whole = run("submit", "-", "--validate-only", "--json", cwd=small.place, input=lines_of(120, first_key).decode())
    assert whole.returncode == 0
    assert [(item["index"], item["body"]) for item in json.loads(whole.stdout)] == [(n, "Valid") for n in range(120)]
    assert keys_in(small, first_key) == 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("table", b"case_Key,carePlan_Key\n1,5\n", "CSV"),
        ("table.json.gz", b"case_Key,carePlan_Key\n1,5\n", "is not gzip, despite its name"),
        ("nothing.json", b"", "empty"),
        (".", None, "is a directory"),
    ],
)
def test_a_file_of_another_kind_is_reported_with_what_to_do(
    system: System, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (system.place / name).write_bytes(content)
    refused = run("submit", name, cwd=system.place)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert words in refused.stderr
    assert f"{name}: " in refused.stderr
    if name == "table":
        piped = run("submit", "-", cwd=system.place, input=content.decode() if content else "")
        assert (piped.returncode, "CSV" in piped.stderr) == (2, True)


@pytest.mark.parametrize(("name", "compress"), [("plain.json.gz", bytes), ("packed.json", gzip.compress)])
def test_a_file_is_sent_as_what_it_is_whatever_its_name_says(
    system: System, first_key: int, name: str, compress: Any
) -> None:
    (system.place / name).write_bytes(compress(lines_of(2, first_key)))
    sent = run("submit", name, cwd=system.place)
    assert sent.returncode == 0, sent.stderr
    assert ("is not gzip" in sent.stderr) == name.endswith(".gz")


def interrupted(process: "subprocess.Popen[str]") -> str:
    """Press Ctrl-C; what the command says then."""
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in output
    return output


def started(system: System, *arguments: str) -> "subprocess.Popen[str]":
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([*COMMAND, *arguments], cwd=system.place, env=process_environment(), text=True, **pipes)


def test_ctrl_c_says_that_nothing_was_accepted_or_that_the_job_goes_on(system: System, first_key: int) -> None:
    with started(system, "submit", "-") as reading:
        assert reading.stdin
        reading.stdin.write("[" + " " * (1 << 20))  # more than a pipe holds, so it is being read
        assert "Nothing was accepted." in interrupted(reading)
    (system.place / "one").write_bytes(lines_of(2, first_key))
    with paused_workers(system), started(system, "submit", "one") as watching:
        assert watching.stderr
        accepted = next(line for line in watching.stderr if "accepted as job" in line)  # others say that it waits
        job_id = accepted.split()[3].rstrip(":")
        output = interrupted(watching)
        assert f"job {job_id} continues" in output
        assert f"carecase status {job_id} --watch" in output
        assert f"carecase cancel {job_id}" in output
    status = run("status", job_id, "--watch", cwd=system.place)
    assert (status.returncode, "2 created" in status.stdout) == (0, True)


def test_status_of_a_final_job_ends_as_submit_does(system: System, first_key: int) -> None:
    (system.place / "bad").write_bytes(lines_of(2, first_key, bad=1))
    assert run("submit", "bad", "--no-watch", cwd=system.place).returncode == 0
    job_id = json.loads(run("jobs", "--json", "--page-size", "1", cwd=system.place).stdout)[0]["jobId"]
    for _ in range(2):
        status = run("status", job_id, "--watch", cwd=system.place)
        assert status.returncode == 1
        assert "completed: 2 of 2 (1 created" in status.stdout
        assert f"carecase result {job_id} --failed" in status.stderr
        assert f"carecase retry {job_id}" in status.stderr
    assert run("status", job_id, cwd=system.place).returncode == 0
    assert (
        run("result", job_id, cwd=system.place)
        .stdout.splitlines()[2]
        .endswith("422     case_Status: must have at most 8 characters")
    )


def test_cancel_gives_json_too(system: System, first_key: int) -> None:
    with paused_workers(system):
        job_id = system.send([a_case(first_key)])
        cancelled = run("cancel", job_id, "--json", cwd=system.place)
    assert json.loads(cancelled.stdout)["jobId"] == job_id
    again = run("retry", job_id, "--json", cwd=system.place) if system.final(job_id)["cancelled"] else None
    assert again is None or json.loads(again.stdout)["total"] == 1


def on_a_terminal(system: System, *arguments: str, **variables: str) -> str:
    """Run a command on a terminal of 80 columns; everything that it shows."""
    near, far = pty.openpty()
    environment = {**process_environment(), "TERM": "xterm-256color", "COLUMNS": "80", **variables}
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=system.place, env=environment, stdin=far, stdout=far, stderr=far
    ) as process:
        os.close(far)
        shown = b""
        while select.select([near], [], [], 60)[0]:
            try:
                shown += os.read(near, 65536)
            except OSError:  # the last one has closed the terminal
                break
        process.wait(60)
    os.close(near)
    return shown.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*[34][0-9](;[0-9;]*)?m")


def test_bars_and_colours_are_for_terminals_that_want_them(system: System, first_key: int) -> None:
    (system.place / "some").write_bytes(lines_of(200, first_key))
    shown = on_a_terminal(system, "submit", "some")
    assert "━" in shown
    assert COLOUR.search(shown)
    plain = on_a_terminal(system, "submit", "some", NO_COLOR="1")
    assert "200 of 200" in plain
    assert re.search(r"sending +[━╸╺]+ +[\d./]+ (?:bytes|kB) +[\d-]:", plain)
    assert not COLOUR.search(plain)
    assert not COLOUR.search(on_a_terminal(system, "status", "nonsense", NO_COLOR="1"))
    piped = run("submit", "some", cwd=system.place)
    assert "━" not in piped.stderr + piped.stdout
    assert "\x1b" not in piped.stderr + piped.stdout
    assert not [line for line in piped.stderr.splitlines() if not line.strip()]
    usage = run("submit", cwd=system.place)
    assert (usage.returncode, "─" in usage.stderr) == (2, False)


def test_the_version_is_printed(system: System) -> None:
    assert re.fullmatch(r"carecase \d+\.\d+\.\d+\S*\n", run("--version", cwd=system.place).stdout)
    environment = json.loads(run("env", "--json", cwd=system.place).stdout)
    assert environment["CARECASE_URL"] == system.stack["intake"]["url"]
