"""A watched folder: files are taken once complete, and filed away only with their acknowledgement."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from carecase_worker.client.files.folder import Folder
from carecase_worker.errors import BatchUnreadable

DIGEST = "0123456789abcdef" * 4
ACK = b"index,case_Key,status,body\r\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """The folder, watched."""
    watched = Folder(tmp_path)
    with watched.watched():
        yield watched


def names(files: list[Path]) -> list[str]:
    return [file.name for file in files]


def test_a_file_is_taken_once_it_has_not_changed_for_as_long_as_asked(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    assert folder.taken(100, 10) == []
    assert folder.taken(109.9, 10) == []
    (tmp_path / "a.csv").write_text("1\n2\n")
    assert folder.taken(110, 10) == [], "it has grown, and the time begins anew"
    assert folder.taken(119.9, 10) == []
    assert names(folder.taken(120, 10)) == ["a.csv"]
    assert not (tmp_path / "a.csv").exists()


def test_a_name_that_went_and_came_again_is_a_new_file(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    folder.taken(100, 10)
    (tmp_path / "a.csv").unlink()
    folder.taken(105, 10)
    (tmp_path / "a.csv").write_text("1\n")
    assert folder.taken(110, 10) == []


def test_another_file_of_the_same_size_and_time_is_a_new_file(folder: Folder, tmp_path: Path) -> None:
    """Programs that keep the times of what they copy replace files so."""
    (tmp_path / "a.csv").write_text("1\n")
    folder.taken(100, 10)
    other, times = tmp_path / "a.csv.part", (tmp_path / "a.csv").stat()
    other.write_text("2\n")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(tmp_path / "a.csv")
    assert folder.taken(110, 10) == []


def test_what_is_being_sent_is_sent_again_by_the_next_process_and_nothing_takes_its_place(tmp_path: Path) -> None:
    one = Folder(tmp_path)
    with one.watched():
        (tmp_path / "a.csv").write_text("1\n")
        assert names(one.taken(0, 0)) == ["a.csv"]
    (tmp_path / "a.csv").write_text("2\n")
    other = Folder(tmp_path)
    with other.watched():
        (taken,) = other.taken(0, 0)
        assert taken.read_text() == "1\n"
        other.file_away(taken, DIGEST, [ACK], is_done=True)
        (taken,) = other.taken(1, 0)
        assert taken.read_text() == "2\n"


def test_links_directories_hidden_files_and_those_that_are_still_written_stay(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "passwd").write_text("x")
    (tmp_path / "link.csv").symlink_to(tmp_path / "secret" / "passwd")
    for name in (".hidden.csv", "a.csv.tmp", "a.csv.PART", "a.csv.filepart", "a.crdownload", "a.lock", "a.csv.ack.csv"):
        (tmp_path / name).write_text("1\n")
    assert folder.taken(0, 0) == []


@pytest.mark.parametrize(("is_done", "place"), [(True, "done"), (False, "failed")])
def test_a_file_moves_after_its_acknowledgement_is_there(
    folder: Folder, tmp_path: Path, is_done: bool, place: str
) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    (taken,) = folder.taken(0, 0)

    def acknowledgement() -> Iterator[bytes]:
        yield ACK
        assert taken.exists(), "a process that dies here leaves it to the next one"
        assert list((tmp_path / place).iterdir()) == [], "an acknowledgement is there whole or not at all"
        yield b"0,1,201,\r\n"

    assert folder.file_away(taken, DIGEST, acknowledgement(), is_done) == tmp_path / place / "a.csv"
    assert (tmp_path / place / "a.csv").read_text() == "1\n"
    assert (tmp_path / place / "a.csv.ack.csv").read_bytes() == ACK + b"0,1,201,\r\n"
    assert folder.taken(9, 0) == []


def test_a_result_that_cannot_be_read_leaves_the_file_to_be_sent_again(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    (taken,) = folder.taken(0, 0)

    def cut_off() -> Iterator[bytes]:
        yield ACK
        raise ConnectionError

    with pytest.raises(ConnectionError):
        folder.file_away(taken, DIGEST, cut_off(), is_done=True)
    assert list((tmp_path / "done").iterdir()) == []
    assert folder.taken(9, 0) == [taken]


def test_a_file_is_not_filed_away_while_its_acknowledgement_finds_no_place(folder: Folder, tmp_path: Path) -> None:
    """Otherwise, a process that died between the two would leave a file that nobody acknowledges any more."""
    (tmp_path / "a.csv").write_text("1\n")
    (taken,) = folder.taken(0, 0)
    (tmp_path / "done" / "a.csv.ack.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        folder.file_away(taken, DIGEST, [ACK], is_done=True)
    assert folder.taken(9, 0) == [taken]
    (tmp_path / "done" / "a.csv.ack.csv").rmdir()
    folder.file_away(taken, DIGEST, [ACK], is_done=True)
    assert {file.name for file in (tmp_path / "done").iterdir()} == {"a.csv", "a.csv.ack.csv"}


@pytest.mark.parametrize(("is_done", "place"), [(True, "done"), (False, "failed")])
def test_a_second_file_of_a_name_replaces_neither_the_first_nor_its_acknowledgement(
    folder: Folder, tmp_path: Path, is_done: bool, place: str
) -> None:
    for text in ("1\n", "2\n"):
        (tmp_path / "a.csv").write_text(text)
        (taken,) = folder.taken(0, 0)
        folder.file_away(taken, DIGEST, [text.encode()], is_done)
    found = {file.name: file.read_text() for file in (tmp_path / place).iterdir()}
    second = f"a.{DIGEST[:12]}.csv"
    assert found == {"a.csv": "1\n", "a.csv.ack.csv": "1\n", second: "2\n", f"{second}.ack.csv": "2\n"}


def test_only_one_process_watches_a_folder(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(BatchUnreadable, match="another carecase drop watches it"), Folder(tmp_path).watched():
        pass


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    away = Folder(tmp_path / "away")
    with pytest.raises(BatchUnreadable, match=r"away: cannot be watched \(No such file"), away.watched():
        pass
