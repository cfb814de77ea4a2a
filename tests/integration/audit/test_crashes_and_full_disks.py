"""A crash at any byte, foreign lines and a full disk leave whole lines, and are noticed."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.audit.logs import a_log, act, counts, files_of, lines_of, recorded, run, verified

from carecase_worker.errors import AuditUnavailable

LIMITED = """
import resource, signal, sys
from pathlib import Path
from carecase_worker.errors import AuditUnavailable
from tests.integration.audit.logs import act, a_log
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


def test_a_process_whose_last_record_is_another_now_has_it_noticed(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    with a_log(tmp_path) as log:
        log.record(act(1))
        before = file.read_bytes()
        log.record(act(2))
        file.write_bytes(before)
        recorded(tmp_path, 1000)  # as number 2, chained to the first as it should be
        assert verified(tmp_path) == ([], []), "nothing is noticed yet"
        log.record(act(3))
    assert counts(tmp_path) == [1, 1000, 3]
    assert verified(tmp_path)[0] == ["record 3 does not follow from record 2: one was modified or inserted"]


def test_what_is_no_record_is_left_and_reported(tmp_path: Path) -> None:
    recorded(tmp_path, 1)
    with (tmp_path / "audit.jsonl").open("ab") as file:
        file.write(b"something else\n")
    recorded(tmp_path, 2)
    assert counts(tmp_path) == [1, 2]
    assert verified(tmp_path)[0] == ["a line is not a record, or was truncated and is the last line"]
    (tmp_path / "audit.jsonl").write_bytes(b"x" * 100_000)
    recorded(tmp_path, 3)
    assert counts(tmp_path)[-1] == 3


def test_a_full_disk_leaves_whole_lines_and_says_that_nothing_is_recorded(tmp_path: Path) -> None:
    recorded(tmp_path / "one", 1)
    size = len(lines_of(tmp_path / "one")[0])
    for place, room in (("nothing", size), ("a part", size + 10), ("all but the end", 2 * size - 1)):
        completed = run(LIMITED, tmp_path / place, room)
        assert completed.splitlines()[-1] == "The audit log cannot be written to. 1 1"
        assert counts(tmp_path / place) == [1, 3]
        assert verified(tmp_path / place) == ([], [])


@pytest.mark.parametrize("missing", [1, 20])
def test_a_line_that_a_full_disk_leaves_broken_off_is_mended_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    """The process goes on meanwhile: it must not append to a line of which it has not seen the end."""
    with a_log(tmp_path) as log:
        log.record(act(1))
        recorded(tmp_path, 2)
        (tmp_path / "audit.jsonl").write_bytes(b"".join(lines_of(tmp_path))[:-missing])
        with monkeypatch.context() as full:
            full.setattr(os, "write", _failing(errno.ENOSPC))
            with pytest.raises(AuditUnavailable):
                log.record(act(3))
        log.record(act(4))
    assert counts(tmp_path) == ([1, 2, 4] if missing == 1 else [1, None, 4])
    note = [] if missing == 1 else ["a line was truncated by a crash, as the next record says"]
    assert verified(tmp_path) == ([], note)


def test_a_file_whose_name_may_be_lost_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power failure takes a new file as long as its directory is not on disk."""
    with a_log(tmp_path) as log:
        log.record(act(1))
        (tmp_path / "audit.jsonl").unlink()
        open_files = psutil.Process().num_fds()
        with monkeypatch.context() as spoilt:
            spoilt.setattr(os, "fsync", _failing(errno.EIO))
            for _ in range(2):
                with pytest.raises(AuditUnavailable):
                    log.record(act(2))
        log.record(act(3))
        assert psutil.Process().num_fds() <= open_files
    assert counts(tmp_path) == [3]


def test_a_file_that_cannot_be_closed_costs_no_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_log(tmp_path, max_file_bytes=1) as log:
        open_files = psutil.Process().num_fds()
        with monkeypatch.context() as spoilt:
            spoilt.setattr(Path, "rename", _failing(errno.EACCES))
            for count in (1, 2, 3):
                with pytest.raises(AuditUnavailable):
                    log.record(act(count))
        assert psutil.Process().num_fds() <= open_files
        log.record(act(4))
    assert counts(tmp_path) == [1, 2, 3, 4]
    assert verified(tmp_path) == ([], [])


def test_a_record_is_on_disk_before_the_access_unless_that_is_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not take what the page cache has: the access must not happen."""

    with a_log(tmp_path) as log, a_log(tmp_path, durability="relaxed") as relaxed:
        log.record(act(1))
        relaxed.record(act(2))
        monkeypatch.setattr(os, "fdatasync", _failing(errno.EIO))
        open_files = psutil.Process().num_fds()
        with pytest.raises(AuditUnavailable):
            log.record(act(3))
        relaxed.record(act(4))
        assert psutil.Process().num_fds() <= open_files
        assert (log.failures, relaxed.failures) == (1, 0)


def test_a_file_is_closed_once_it_is_on_disk_also_where_no_record_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure takes the last records of the file that is written to, and none of a closed one."""
    recorded(tmp_path / "one", 1)
    size = len(lines_of(tmp_path / "one")[0])
    with a_log(tmp_path / "two", durability="relaxed", max_file_bytes=size + 1) as log:
        log.record(act(1))
        with monkeypatch.context() as spoilt:
            spoilt.setattr(os, "fsync", _failing(errno.EIO))
            with pytest.raises(AuditUnavailable):
                log.record(act(2))
        assert [name for name, _ in files_of(tmp_path / "two")] == ["audit.jsonl"]


def _failing(fault: int) -> Callable[..., Any]:
    """Return a call of the operating system that fails."""

    def fail(*_: object) -> Any:
        raise OSError(fault, os.strerror(fault))

    return fail
