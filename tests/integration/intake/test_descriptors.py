"""The limit of descriptors of a process, raised for the connections that it is to have."""

import resource
import subprocess
import sys

import pytest

from carecase_worker.intake.limits.descriptors import OTHERS
from carecase_worker.settings.loading import process_environment

RESERVING = """
import resource, sys
from carecase_worker.intake.limits.descriptors import reserve_descriptors
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), hard))
reserve_descriptors(200)
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "then"), [(256, 200 + OTHERS), (200 + OTHERS, 200 + OTHERS), (1000, 1000)])
def test_the_soft_limit_is_raised_to_what_is_needed_and_never_lowered(soft: int, then: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    command = [sys.executable, "-c", RESERVING, str(soft)]
    ran = subprocess.run(command, env=process_environment(), capture_output=True, text=True, check=True)
    assert [int(limit) for limit in ran.stdout.split()] == [then, hard]
