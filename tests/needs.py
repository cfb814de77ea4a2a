"""What some tests need beside Python. Without it a test is skipped, and the summary says so; in CI it fails."""

import os
import shutil
from typing import NoReturn

import pytest


def need(program: str, package: str) -> str:
    """Return the path of a program; `package` says where it comes from."""
    found = shutil.which(program)
    if found is None:
        lack(f"there is no {program} here; install {package}")
    return found


def lack(reason: str) -> NoReturn:
    """Leave a test that cannot be run here."""
    text = f"NOT TESTED: {reason} (.ci/run does)"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
