"""A file is closed at its size, the oldest files go, and no closed file is written over."""

from pathlib import Path

import pytest
from tests.integration.audit.logs import a_log, act, counts, files_of, lines_of, recorded, verified

from carecase_worker.audit.records import record_of


@pytest.mark.parametrize(("more", "closed"), [(-1, 2), (0, 2), (1, 3)])
def test_a_file_is_closed_at_its_size_under_the_number_of_its_last_record(
    tmp_path: Path, more: int, closed: int
) -> None:
    with a_log(tmp_path / "one") as log:
        for _ in range(2):
            log.record(act(7))
    size = len(files_of(tmp_path / "one")[0][1])
    with a_log(tmp_path / "two", max_file_bytes=size + more) as log:
        for _ in range(3):
            log.record(act(7))
    assert files_of(tmp_path / "two")[0][0] == f"audit-{closed:012}.jsonl"
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
    assert [name for name, _ in files_of(tmp_path)] == ["audit-000000000001.jsonl", "audit-000000000001.1.jsonl"]
    assert verified(tmp_path)[0] == ["record 1 comes after record 1: it was inserted or moved"]


def test_a_closed_file_without_a_record_is_passed_over(tmp_path: Path) -> None:
    recorded(tmp_path, 1, 2, max_file_bytes=1)
    (tmp_path / "audit-000000000002.jsonl").write_bytes(b"x" * 100 + b"\n")
    recorded(tmp_path, 3)
    assert [record.head.number for line in lines_of(tmp_path) if (record := record_of(line))] == [1, 2]
    assert counts(tmp_path) == [1, 3], "the chain goes on behind the last record that is there"
