"""Files of a watched folder that cannot be read: they are filed away, told of, and in nobody's way."""

from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.dropping import ROWS, acknowledged, applied, dropping, send

from carecase_worker.cli.sending.dropping import Filed


def test_a_file_that_cannot_be_read_is_filed_away_and_keeps_no_other_from_being_sent(tmp_path: Path) -> None:
    """Whoever runs this test may read every file, so a directory stands for one that may not be read."""
    with dropping(tmp_path, *applied()) as (one, _, printed):
        for name in ("a.csv", "b.csv"):
            (tmp_path / name).write_text(ROWS)
        unreadable, good = one.folder.taken(0, 0)
        unreadable.unlink()
        unreadable.mkdir()
        assert [one.send(unreadable), one.send(good)] == [Filed.FAILED, Filed.DONE]
    text = "cannot be read (Is a directory). Let this process read it, and put it into the folder again."
    assert printed.getvalue().splitlines()[0] == f"a.csv: refused. {text} It is now {tmp_path / 'failed' / 'a.csv'}"
    (row,) = acknowledged(tmp_path / "failed" / "a.csv.ack.csv")
    assert (row["status"], row["outcome"], row["body"]) == ("400", "failed", text)
    assert (tmp_path / "failed" / "a.csv").exists()


def test_unreadable_files_of_one_name_are_all_kept(tmp_path: Path) -> None:
    with dropping(tmp_path) as (one, _, _):
        for text in ("first", "second", "third"):
            (tmp_path / "a.csv").write_text(ROWS)
            (unreadable,) = one.folder.taken(0, 0)
            unreadable.unlink()
            unreadable.mkdir()
            (unreadable / text).touch()
            assert one.send(unreadable) == Filed.FAILED
    assert {kept.name for kept in (tmp_path / "failed").glob("a*.csv/*")} == {"first", "second", "third"}


def test_a_file_that_cannot_be_read_for_now_stays_to_be_sent_again(tmp_path: Path) -> None:
    """As on a network file system that does not respond; here the file is away for a while."""
    (tmp_path / "a.csv").write_text(ROWS)
    with dropping(tmp_path, *applied()) as (one, _, printed):
        (file,) = one.folder.taken(0, 0)
        away = file.rename(tmp_path / "a.csv.part")
        assert one.send(file) == Filed.LATER
        assert "a.csv: will be tried again." in printed.getvalue()
        assert "cannot be read now (No such file or directory)" in printed.getvalue()
        away.rename(file)
        assert send(one) == [Filed.DONE]


def test_a_file_that_may_not_be_read_is_filed_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried again and again, it would keep `--once` from ever ending, and nobody would be told of it."""
    with dropping(tmp_path) as (one, _, printed):
        (tmp_path / "a.csv").write_text(ROWS)
        (file,) = one.folder.taken(0, 0)
        opened = Path.open

        def refused(path: Path, *how: Any, **more: Any) -> Any:
            if path == file:
                raise PermissionError(13, "Permission denied")
            return opened(path, *how, **more)

        monkeypatch.setattr(Path, "open", refused)
        assert one.send(file) == Filed.FAILED
    assert "cannot be read (Permission denied). Let this process read it" in printed.getvalue()
