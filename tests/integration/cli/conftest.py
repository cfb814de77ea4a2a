"""Fixtures of the tests that run commands."""

from pathlib import Path

import pytest
from tests.integration.cli.commands import Carecase, carecase_alone


@pytest.fixture
def carecase(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Carecase:
    """The `carecase` command in an empty directory, with nothing configured."""
    return carecase_alone(monkeypatch, capsys, tmp_path)
