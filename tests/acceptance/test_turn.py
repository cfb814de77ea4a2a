"""The file by which one `carecase up` waits for another, where somebody else has been before."""

import os
import subprocess
from pathlib import Path

from tests.acceptance.system import COMMAND

from carecase_worker.settings.loading import process_environment


def test_a_link_in_the_place_of_the_file_is_reported_and_not_followed(tmp_path: Path) -> None:
    lock, other = tmp_path / f"carecase-up-{os.getuid()}.lock", tmp_path / "other"
    lock.symlink_to(other)
    ran = subprocess.run(
        [*COMMAND, "up", "--data-dir", str(tmp_path / "data")],
        env={**process_environment(), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode != 0
    assert f"{lock}: cannot be opened" in ran.stderr.replace("\n", "")
    assert "set TMPDIR" in ran.stderr.replace("\n", " ")
    assert "Traceback" not in ran.stderr
    assert not other.exists()
