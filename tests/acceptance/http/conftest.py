"""Fixtures: a job that is final."""

import pytest
from tests.acceptance.system import System
from tests.builders import a_case


@pytest.fixture(scope="session")
def final_job(system: System) -> str:
    job_id = system.send([a_case(9_100_000 + n) for n in range(2500)])
    system.final(job_id)
    return job_id
