"""A directory that is none is a mistake in the settings; one that went away is named with each record."""

from pathlib import Path

import pytest
from tests.integration.audit.logs import a_log, act, counts, recorded

from carecase_worker.audit.log import AuditLog
from carecase_worker.clock import SystemClock
from carecase_worker.errors import AuditUnavailable, SettingsError
from carecase_worker.settings.sections.access import AuditSettings


def test_a_directory_that_is_none_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "led away").mkdir()
    (tmp_path / "led away" / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    for place, reason in (("file", "File exists"), ("led away", "Too many levels of symbolic links")):
        with pytest.raises(SettingsError) as raised:
            recorded(tmp_path / place)
        assert str(raised.value) == f"audit.directory: cannot be written to ({reason})"
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_went_away_is_reported_with_each_record(tmp_path: Path) -> None:
    with a_log(tmp_path / "there") as log:
        log.record(act(1))
        (tmp_path / "there").rename(tmp_path / "away")
        for failures in (2, 4):
            with pytest.raises(AuditUnavailable):
                log.record(act(2), act(3))
            assert log.failures == failures
        (tmp_path / "away").rename(tmp_path / "there")
        log.record(act(3))
    assert counts(tmp_path / "there") == [1, 3]


def test_without_a_directory_nothing_is_recorded() -> None:
    log = AuditLog(AuditSettings(), SystemClock()).opened()
    log.record(act(1))
    log.close()
    assert (log.records, log.failures) == (0, 0)
