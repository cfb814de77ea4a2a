"""Programs that some tests need beside Python. Without its program a test is skipped, loudly; in CI it fails."""

import os
import shutil

import pytest


def need(program: str, package: str) -> str:
    """Return the path of a program; `package` says where it comes from. Skip the test without it; in CI, fail."""
    found = shutil.which(program)
    if found is None:
        reason = f"NOT TESTED: there is no {program} here; install {package} (.ci/run does)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found
