"""The lines of the tutorial do what it says, pasted as they are: send, poll, look at the result."""

import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.system import System

from carecase_worker.settings.loading import process_environment

PAGE = Path(__file__).parent.parent.parent / "docs" / "tutorial.md"


def test_a_batch_is_sent_polled_and_its_result_read(system: System, tmp_path: Path) -> None:
    send, poll, result, *_ = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (tmp_path / ".carecase").symlink_to(system.data_dir)
    lines = send + poll.replace("curl -sS", 'curl -sS -H "Prefer: wait=30"') + result
    ran = subprocess.run(
        ["dash", "-uc", lines.replace(".venv/bin/", f"{Path(sys.executable).parent}/")],
        cwd=tmp_path,
        env=process_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert "HTTP/1.1 202" in ran.stdout
    assert '"state":"completed"' in ran.stdout
    assert '"status":422,"body":"case_Status: must have at most 8 characters"' in ran.stdout
