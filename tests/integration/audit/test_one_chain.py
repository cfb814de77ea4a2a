"""Processes, threads and restarts write one chain, and a reader sees it as it was at one time."""

import base64
import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.acceptance.system import eventually
from tests.integration.audit.locks import waits_for_a_lock
from tests.integration.audit.logs import PROGRAM, ROOT, a_log, act, counts, files_of, lines_of, recorded, verified

from carecase_worker.audit.log import opened_files
from carecase_worker.audit.records import record_of
from carecase_worker.settings.loading import process_environment

HOLDER = """
import fcntl, sys
with open(sys.argv[1]) as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    input()
"""


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
    assert len(files_of(tmp_path)) > 10, "they closed many files meanwhile"
    assert sorted(counts(tmp_path)) == sorted([*range(100)] * 6)
    assert verified(tmp_path) == ([], [])


def test_two_logs_in_turn_write_one_chain(tmp_path: Path) -> None:
    with a_log(tmp_path, max_file_bytes=1000) as one, a_log(tmp_path, max_file_bytes=1000) as other:
        for count in range(20):
            (one, other)[count % 2].record(act(count))
        assert (one.records, other.records) == (19, 20)
    assert counts(tmp_path) == list(range(20))
    assert verified(tmp_path) == ([], [])


def test_a_reader_sees_the_log_as_it_was_at_one_time(tmp_path: Path) -> None:
    with a_log(tmp_path, max_file_bytes=1, keep_files=1) as log, ExitStack() as files:
        log.record(act(1))
        opened = opened_files(tmp_path, files)
        log.record(act(2))
        log.record(act(3))
        assert [(name, b'"count":1' in file.read()) for name, file, _ in opened] == [("audit-000000000001.jsonl", True)]


@contextmanager
def held(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock of a log until it is killed."""
    command = [sys.executable, "-c", HOLDER, str(place / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield holder
        finally:
            holder.kill()


def test_whoever_appends_waits_for_whoever_does(tmp_path: Path) -> None:
    recorded(tmp_path, 1)
    with held(tmp_path) as holder:
        writer = Thread(target=recorded, args=(tmp_path, 2))
        writer.start()
        eventually(lambda: not writer.is_alive() or waits_for_a_lock(), what="it waits")
        assert writer.is_alive()
        assert counts_without_lock(tmp_path) == [1]
        holder.kill()
        writer.join(60)
    assert counts(tmp_path) == [1, 2]


def test_whoever_reads_waits_for_whoever_appends(tmp_path: Path) -> None:
    """A file that is being closed would be read twice, or not at all."""
    recorded(tmp_path, 1)
    with held(tmp_path) as holder:
        reader = Thread(target=counts, args=(tmp_path,))
        reader.start()
        eventually(lambda: not reader.is_alive() or waits_for_a_lock(), what="it waits")
        assert reader.is_alive()
        holder.kill()
        reader.join(60)
        assert not reader.is_alive()


def test_a_record_that_cannot_be_written_as_text_leaves_the_log_to_others(tmp_path: Path) -> None:
    with a_log(tmp_path) as log:
        with pytest.raises(UnicodeEncodeError):
            log.record(replace(act(1), subject="\ud800"))
        with (tmp_path / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    recorded(tmp_path, 2)
    assert counts(tmp_path) == [2]


def test_the_first_key_signs(tmp_path: Path) -> None:
    keys = ",".join(f"{name}:{base64.b64encode(name.encode() * 16).decode()}" for name in ("k2", "k1"))
    recorded(tmp_path, 1, keys=keys)
    assert [record.members["key"] for line in lines_of(tmp_path) if (record := record_of(line))] == ["k2"]


def counts_without_lock(place: Path) -> list[Any]:
    lines = (place / "audit.jsonl").read_bytes().splitlines()
    return [record.members["count"] for line in lines if (record := record_of(line))]
