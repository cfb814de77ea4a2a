"""The programs in docs/client.md do what it says, run as they are."""

import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.system import System

from carecase_worker.settings.loading import process_environment

PAGE = Path(__file__).parent.parent.parent / "docs" / "client.md"


def test_the_programs_of_the_page_run(system: System) -> None:
    who = system.stack["clients"][0]
    access = {
        "CARECASE_URL": system.stack["intake"]["url"],
        "CARECASE_API_KEY": who["api_key"],
        "CARECASE_TOKEN": who["bearer"],
        "CARECASE_DATABASE": who["databases"][0],
    }
    printed = []
    for program in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env={**process_environment(), **access},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ran.returncode == 0, ran.stderr
        printed.append(ran.stdout.splitlines())
    assert printed == [
        [f"completed: {count} created, 0 updated, 0 failed" for count in (1000, 1000, 500)],
        ["['Updated']"],
    ]
