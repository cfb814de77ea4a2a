"""The shell lines of the README do what it says, pasted as they are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.system import System

from carecase_worker.settings.loading import process_environment

ROOT = Path(__file__).parent.parent.parent


def pasted(system: System, place: Path, *edits: tuple[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the block of the README in a POSIX shell, in a directory of its own, with some of its text replaced."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    (block,) = [text for text in blocks if "carecase env" in text]
    (place / ".carecase").symlink_to(system.data_dir)
    for old, new in ((".venv/bin/", f"{Path(sys.executable).parent}/"), *edits):
        assert old in block
        block = block.replace(old, new)
    ran = subprocess.run(
        ["dash", "-uc", block], cwd=place, env=process_environment(), capture_output=True, text=True, timeout=300
    )
    assert [path.name for path in place.iterdir()] == [".carecase"], "no file is left behind"
    return ran


def test_the_curl_lines_send_a_batch_and_get_its_result(system: System, tmp_path: Path) -> None:
    ran = pasted(system, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "HTTP/1.1 202" in ran.stdout
    assert '"status":201' in ran.stdout
    assert '"status":422,"body":"case_Status: must have at most 8 characters"' in ran.stdout


@pytest.mark.parametrize("name", ["CARECASE_API_KEY", "CARECASE_TOKEN", "CARECASE_DATABASE", "CARECASE_URL"])
def test_with_a_wrong_credential_they_show_the_answer_and_end(system: System, tmp_path: Path, name: str) -> None:
    wrong = "http://127.0.0.1:1" if name == "CARECASE_URL" else "wrong"
    ran = pasted(system, tmp_path, ("call() {", f"{name}={wrong}\ncall() {{"))
    assert ran.returncode == 2
    assert "the batch was not accepted" in ran.stderr
    assert ran.stdout.startswith("HTTP/1.1 40") or "curl: (7)" in ran.stderr
