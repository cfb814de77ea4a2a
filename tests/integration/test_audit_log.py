"""The audit log's files: several processes, a size, crashes at every byte, a full disk, and hands that are not ours."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.acceptance.system import eventually

from carecase_worker.audit.log import AuditLog, opened_files
from carecase_worker.audit.records import Act, Event, Head, record_of
from carecase_worker.audit.verification import Verification
from carecase_worker.clock import SystemClock
from carecase_worker.errors import AuditUnavailable, SettingsError
from carecase_worker.settings.loading import process_environment
from carecase_worker.settings.sections.access import AuditSettings

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from threading import Thread
from tests.integration.test_audit_log import act, a_log
with a_log(Path(sys.argv[1]), max_file_bytes=4000, durability="relaxed") as log:
    print("ready", flush=True)
    input()
    threads = [Thread(target=lambda: [log.record(act(n)) for n in range(100)]) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""
LIMITED = """
import resource, signal, sys
from pathlib import Path
from carecase_worker.errors import AuditUnavailable
from tests.integration.test_audit_log import act, a_log
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with a_log(Path(sys.argv[1])) as log:
    log.record(act(1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        log.record(act(2))
    except AuditUnavailable as error:
        print(error, log.failures, log.records)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    log.record(act(3))
"""
HOLDER = """
import fcntl, sys
with open(sys.argv[1]) as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    input()
"""


def act(count: int) -> Act:
    return Act(Event.SENT, "acme", "ada", "192.0.2.7", "demo", "a job", count)


@contextmanager
def a_log(place: Path, **settings: Any) -> Iterator[AuditLog]:
    """The log of one process."""
    log = AuditLog(AuditSettings.model_validate({"directory": place, **settings}), SystemClock()).opened()
    yield log
    log.close()


def recorded(place: Path, *counts: int, **settings: Any) -> None:
    with a_log(place, **settings) as log:
        for count in counts:
            log.record(act(count))


def held(place: Path) -> list[tuple[str, bytes]]:
    """The files of a log, the oldest first."""
    with ExitStack() as files:
        return [(name, file.read(size)) for name, file, size in opened_files(place, files)]


def lines_of(place: Path) -> list[bytes]:
    return [line for _, content in held(place) for line in content.splitlines(keepends=True)]


def counts(place: Path) -> list[Any]:
    return [record.members.get("count") for line in lines_of(place) if (record := record_of(line))]


def verified(place: Path, *noted: Head) -> tuple[list[str], list[str]]:
    made = Verification({}, noted)
    for line in lines_of(place):
        made.feed("a line", line)
    made.finish()
    return made.faults, made.notes


def run(program: str, *arguments: object) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=process_environment(), capture_output=True, text=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_what_is_recorded_goes_on_where_the_last_process_stopped(tmp_path: Path) -> None:
    place = tmp_path / "not" / "there yet"
    recorded(place, 1, 2)
    recorded(place, 3)
    recorded(place)
    assert counts(place) == [1, 2, 3]
    assert verified(place) == ([], [])
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in (place, *place.iterdir())} == {
        "there yet": "0o700", "audit.jsonl": "0o600", "lock": "0o600",
    }  # fmt: skip


def test_processes_and_threads_write_one_chain(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=process_environment(), cwd=ROOT)
        for _ in range(2)
    ]
    for process in processes:  # both are ready before one begins
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert len(held(tmp_path)) > 10, "they closed many files meanwhile"
    assert sorted(counts(tmp_path)) == sorted([*range(100)] * 6)
    assert verified(tmp_path) == ([], [])


def test_two_logs_in_turn_write_one_chain(tmp_path: Path) -> None:
    with a_log(tmp_path, max_file_bytes=1000) as one, a_log(tmp_path, max_file_bytes=1000) as other:
        for count in range(20):
            (one, other)[count % 2].record(act(count))
        assert (one.records, other.records) == (19, 20)
    assert counts(tmp_path) == list(range(20))
    assert verified(tmp_path) == ([], [])


@pytest.mark.parametrize(("more", "closed"), [(-1, 2), (0, 2), (1, 3)])
def test_a_file_is_closed_at_its_size_under_the_number_of_its_last_record(
    tmp_path: Path, more: int, closed: int
) -> None:
    with a_log(tmp_path / "one") as log:
        for _ in range(2):
            log.record(act(7))
    size = len(held(tmp_path / "one")[0][1])
    with a_log(tmp_path / "two", max_file_bytes=size + more) as log:
        for _ in range(3):
            log.record(act(7))
    assert held(tmp_path / "two")[0][0] == f"audit-{closed:012}.jsonl"
    assert verified(tmp_path / "two") == ([], [])


@pytest.mark.parametrize("written", [3, 4, 5])
def test_the_oldest_files_go_and_the_chain_says_where_it_begins(tmp_path: Path, written: int) -> None:
    recorded(tmp_path, *range(1, written + 1), max_file_bytes=1, keep_files=4)
    assert counts(tmp_path) == list(range(1, written + 1))[-4:]
    begins = ["it begins with record 2; the earlier records are missing"] if written == 5 else []
    assert verified(tmp_path) == ([], begins)
    recorded(tmp_path, 9, max_file_bytes=1, keep_files=4)
    assert verified(tmp_path)[0] == [], "a process that finds no open file goes on from the closed ones"


def test_no_closed_file_is_written_over(tmp_path: Path) -> None:
    recorded(tmp_path, 1, 2, max_file_bytes=1)
    for name in ("audit-000000000001.jsonl", "audit-000000000002.jsonl"):
        (tmp_path / name).rename(tmp_path / f"{name}.away")
    with a_log(tmp_path, max_file_bytes=1) as log:
        (tmp_path / "audit-000000000001.jsonl.away").rename(tmp_path / "audit-000000000001.jsonl")
        log.record(act(5))
    assert [name for name, _ in held(tmp_path)] == ["audit-000000000001.jsonl", "audit-000000000001.1.jsonl"]
    assert verified(tmp_path)[0] == ["record 1 comes after record 1: it was inserted or moved"]


def test_a_line_broken_off_anywhere_is_mended_by_the_next_process(tmp_path: Path) -> None:
    recorded(tmp_path, 1, 2)
    whole = (tmp_path / "audit.jsonl").read_bytes()
    first, last = whole.splitlines(keepends=True)
    for size in range(len(last) + 1):
        (tmp_path / "audit.jsonl").write_bytes(first + last[:size])
        recorded(tmp_path, 3)
        is_whole = size >= len(last) - 1  # only the end of the line is missing, if anything
        is_gone = size == 0
        expected = [1, 2, 3] if is_whole else [1, 3] if is_gone else [1, None, 3]
        assert counts(tmp_path) == expected, size
        note = [] if is_whole or is_gone else ["a line was truncated by a crash, as the next record says"]
        assert verified(tmp_path) == ([], note), size


def test_a_process_that_wrote_what_is_missing_has_it_noticed(tmp_path: Path) -> None:
    with a_log(tmp_path) as log:
        for count in (1, 2, 3):
            log.record(act(count))
        lines = lines_of(tmp_path)
        (tmp_path / "audit.jsonl").write_bytes(lines[0])
        log.record(act(4))
        assert verified(tmp_path)[0] == ["records 2 to 3 are missing"]
        (tmp_path / "audit.jsonl").write_bytes(lines[0] + lines[1][:40])
        log.record(act(5))
        assert verified(tmp_path)[0] == ["records 2 to 4 are missing"]
        (tmp_path / "audit.jsonl").unlink()
        log.record(act(6))
        assert verified(tmp_path) == ([], ["it begins with record 7; the earlier records are missing"])


def test_what_is_no_record_is_left_and_told(tmp_path: Path) -> None:
    recorded(tmp_path, 1)
    with (tmp_path / "audit.jsonl").open("ab") as file:
        file.write(b"something else\n")
    recorded(tmp_path, 2)
    assert counts(tmp_path) == [1, 2]
    assert verified(tmp_path)[0] == ["a line is not a record, or was truncated and is the last line"]
    (tmp_path / "audit.jsonl").write_bytes(b"x" * 100_000)
    recorded(tmp_path, 3)
    assert counts(tmp_path)[-1] == 3


def test_a_closed_file_without_a_record_is_passed_over(tmp_path: Path) -> None:
    recorded(tmp_path, 1, 2, max_file_bytes=1)
    (tmp_path / "audit-000000000002.jsonl").write_bytes(b"x" * 100 + b"\n")
    recorded(tmp_path, 3)
    assert [record.head.number for line in lines_of(tmp_path) if (record := record_of(line))] == [1, 2]
    assert counts(tmp_path) == [1, 3], "the chain goes on behind the last record that is there"


def test_a_full_disk_leaves_whole_lines_and_says_that_nothing_is_recorded(tmp_path: Path) -> None:
    recorded(tmp_path / "one", 1)
    size = len(lines_of(tmp_path / "one")[0])
    for place, room in (("nothing", size), ("a part", size + 10), ("all but the end", 2 * size - 1)):
        told = run(LIMITED, tmp_path / place, room)
        assert told.splitlines()[-1] == "The audit log cannot be written to. 1 1"
        assert counts(tmp_path / place) == [1, 3]
        assert verified(tmp_path / place) == ([], [])


def test_a_reader_sees_the_log_of_one_moment(tmp_path: Path) -> None:
    with a_log(tmp_path, max_file_bytes=1, keep_files=1) as log, ExitStack() as files:
        log.record(act(1))
        opened = opened_files(tmp_path, files)
        log.record(act(2))
        log.record(act(3))
        assert [(name, b'"count":1' in file.read()) for name, file, _ in opened] == [("audit-000000000001.jsonl", True)]


def test_whoever_appends_waits_for_whoever_does(tmp_path: Path) -> None:
    recorded(tmp_path, 1)
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    writer = Thread(target=recorded, args=(tmp_path, 2))
    writer.start()
    eventually(lambda: not writer.is_alive() or waits_for_a_lock(), what="it waits")
    assert writer.is_alive()
    assert counts_without_lock(tmp_path) == [1]
    os.kill(holder.pid, signal.SIGKILL)
    writer.join(60)
    holder.communicate()
    assert counts(tmp_path) == [1, 2]


def waits_for_a_lock() -> bool:
    """Tell whether Linux has this process wait for somebody else's lock."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(line[2] == "FLOCK" and line[5] == str(os.getpid()) for line in waiting)


def counts_without_lock(place: Path) -> list[Any]:
    lines = (place / "audit.jsonl").read_bytes().splitlines()
    return [record.members["count"] for line in lines if (record := record_of(line))]


def test_a_directory_that_is_none_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "led away").mkdir()
    (tmp_path / "led away" / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    for place, reason in (("file", "File exists"), ("led away", "Too many levels of symbolic links")):
        with pytest.raises(SettingsError) as raised:
            recorded(tmp_path / place)
        assert str(raised.value) == f"audit.directory: cannot be written to ({reason})"
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_went_away_is_told_with_each_record(tmp_path: Path) -> None:
    with a_log(tmp_path / "there") as log:
        log.record(act(1))
        (tmp_path / "there").rename(tmp_path / "away")
        for failures in (1, 2):
            with pytest.raises(AuditUnavailable):
                log.record(act(2))
            assert log.failures == failures
        (tmp_path / "away").rename(tmp_path / "there")
        log.record(act(3))
    assert counts(tmp_path / "there") == [1, 3]


def test_without_a_directory_nothing_is_recorded() -> None:
    log = AuditLog(AuditSettings(), SystemClock()).opened()
    log.record(act(1))
    log.close()
    assert (log.records, log.failures) == (0, 0)
