"""`carecase db revision` drafts the migration that a new field needs, for who changes this program."""

import shutil
import subprocess
import sys
from pathlib import Path

from carecase_worker.settings.loading import process_environment

SOURCE = Path(__file__).parents[3] / "src" / "carecase_worker"
FIELD = '    _text("case_Colour", 12, "The colour of the case"),'
LAST = '    _text("subscriber_ID", 9,'


def carecase(copy: Path, *arguments: str) -> str:
    """What a command of the copied program prints; it must succeed."""
    url = f"sqlite:///{copy / 'cases.sqlite'}"
    environment = {**process_environment(), "PYTHONPATH": str(copy), "CARECASE_DATABASES_D_URL": url}
    return subprocess.run(
        [sys.executable, "-m", "carecase_worker", *arguments],
        cwd=copy, env=environment, capture_output=True, text=True, timeout=300, check=True,
    ).stdout  # fmt: skip


def test_a_new_field_is_drafted_and_a_database_of_before_is_upgraded(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "carecase_worker", ignore=shutil.ignore_patterns("__pycache__"))
    carecase(tmp_path, "db", "upgrade")
    assert carecase(tmp_path, "db", "revision", "The colour.") == "the newest revision lacks nothing\n"
    table = tmp_path / "carecase_worker" / "cases" / "care_case.py"
    table.write_text(
        table.read_text().replace(LAST, f'    _text("case_Colour", 12, "The colour of the case"),\n{LAST}')
    )
    migrations = tmp_path / "carecase_worker" / "targets" / "schema" / "migrations" / "versions"
    drafted = migrations / "r0002_the_colour.py"
    assert f"wrote {drafted}" in carecase(tmp_path, "db", "revision", "The colour.")
    assert "'case_colour', sa.String(length=12), nullable=True" in drafted.read_text()
    assert "at revision 0001, this version at 0002" in carecase(tmp_path, "db", "current")
    carecase(tmp_path, "db", "upgrade")
    assert carecase(tmp_path, "db", "check") == "d: fits\n"
