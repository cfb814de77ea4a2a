"""Fixtures of the tests that run commands."""

from pathlib import Path

import pytest
from tests.integration.cli.commands import Carecase, carecase_in

from carecase_worker.settings.loading import client_variables, settings_variables


@pytest.fixture
def carecase(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Carecase:
    """The `carecase` command in an empty directory, with nothing configured."""
    for name in (*client_variables(), *settings_variables(), "CARECASE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return carecase_in(monkeypatch, capsys)
