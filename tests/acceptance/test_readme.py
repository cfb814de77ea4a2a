"""The shell lines of the README do what it says, pasted as they are."""

import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.system import System

from carecase_worker.settings.loading import process_environment

ROOT = Path(__file__).parent.parent.parent


def test_the_curl_lines_send_a_batch_and_get_its_result(system: System) -> None:
    readme = (ROOT / "README.md").read_text()
    (block,) = [text for text in re.findall(r"```sh\n(.*?)```", readme, flags=re.DOTALL) if "curl" in text]
    script = f"cd {system.place}\n{block}".replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    ran = subprocess.run(
        ["bash", "-euc", script], env=process_environment(), capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert "HTTP/1.1 202" in ran.stdout
    assert '"status":201' in ran.stdout
    assert '"status":422,"body":"case_Status: must have at most 8 characters"' in ran.stdout
