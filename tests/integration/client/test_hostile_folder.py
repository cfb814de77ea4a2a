"""A watched folder into which somebody hostile puts files, links and directories."""

import os
from pathlib import Path

import pytest

from carecase_worker.client.files.folder import Folder
from carecase_worker.errors import BatchUnreadable

ACKNOWLEDGEMENT = (b"index,case_Key\r\n",)
DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A directory that nobody but its owner is to write to."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    return place


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder."""
    place = tmp_path / "folder"
    place.mkdir()
    return place


@pytest.mark.parametrize("name", [".sending", "done", "failed"])
def test_a_link_in_place_of_a_directory_is_refused(place: Path, elsewhere: Path, name: str) -> None:
    (place / name).symlink_to(elsewhere)
    with pytest.raises(BatchUnreadable, match="cannot be watched"), Folder(place).watched():
        pass
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["done", "failed"])
def test_a_link_that_comes_later_leads_nothing_elsewhere(place: Path, elsewhere: Path, name: str) -> None:
    folder = Folder(place)
    (place / "authorized_keys").write_text("[]")
    with folder.watched():
        (file,) = folder.taken(0, 0)
        (place / name).rename(place / "aside")
        (place / name).symlink_to(elsewhere)
        folder.file_away(file, DIGEST, ACKNOWLEDGEMENT, name == "done")
    assert list(elsewhere.iterdir()) == []
    assert sorted(path.name for path in (place / "aside").iterdir()) == ["authorized_keys", "authorized_keys.ack.csv"]


def test_what_comes_in_place_of_the_files_that_are_being_sent_is_not_read(place: Path, elsewhere: Path) -> None:
    folder = Folder(place)
    (elsewhere / "secret.json").write_text("[]")
    with folder.watched():
        (place / ".sending").rename(place / "aside")
        (place / ".sending").symlink_to(elsewhere)
        with pytest.raises(BatchUnreadable, match="was replaced"):
            folder.taken(0, 0)


def test_links_pipes_and_directories_are_no_files(place: Path, elsewhere: Path) -> None:
    (elsewhere / "secret.json").write_text("[]")
    (place / "link.json").symlink_to(elsewhere / "secret.json")
    os.mkfifo(place / "pipe.json")
    (place / "directory.json").mkdir()
    with (folder := Folder(place)).watched():
        assert folder.taken(0, 0) == []


@pytest.mark.parametrize("name", ["n" * 250 + ".json", "é" * 125 + ".csv", "x." + "y" * 253, "line\nfeed\x1b[2J.json"])
@pytest.mark.parametrize("again", [1, 2])
def test_no_name_is_too_long_or_strange_to_be_filed_away(place: Path, name: str, again: int) -> None:
    folder = Folder(place)
    with folder.watched():
        for _ in range(again):
            (place / name).write_text("[]")
            (file,) = folder.taken(0, 0)
            assert file.name == name
            target = folder.file_away(file, DIGEST, ACKNOWLEDGEMENT, is_done=True)
            assert target.read_text() == "[]"
            assert target.with_name(target.name + ".ack.csv").read_bytes() == ACKNOWLEDGEMENT[0]
        assert folder.taken(0, 0) == []


def test_what_a_process_left_that_died_is_no_hindrance(place: Path, elsewhere: Path) -> None:
    folder = Folder(place)
    (place / "one.json").write_text("[]")
    with folder.watched():
        (file,) = folder.taken(0, 0)
        (place / ".sending" / ".writing").symlink_to(elsewhere / "planted")
        target = folder.file_away(file, DIGEST, ACKNOWLEDGEMENT, is_done=False)
    assert target == place / "failed" / "one.json"
    assert list(elsewhere.iterdir()) == []
