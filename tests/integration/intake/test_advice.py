"""The advice to send items again: given where the service would do it, and only there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.system import run
from tests.builders import a_case
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

from carecase_worker.cases.outcome import CANCELLED, CREATED, REFUSED, UNAVAILABLE, Kind, Outcome

INVALID = Outcome(Kind.INVALID, "case_Status: must have at most 8 characters")
CONFLICT = Outcome(Kind.CONFLICT, "carePlan_Key: the case exists under another care plan")


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, "advice:") as started:
        yield started


@pytest.mark.parametrize(
    ("outcomes", "is_advised"),
    [
        ([CREATED, INVALID, CONFLICT], False),
        ([INVALID, REFUSED], True),
        ([CREATED, UNAVAILABLE], True),
        ([CANCELLED, INVALID], True),
        ([INVALID] * 1000, False),
        ([INVALID] * 1001, True),  # it is not looked for among all of them
    ],
)
def test_retry_is_advised_where_some_item_did_not_fail_by_its_own_fault(
    intake: Intake, tmp_path: Path, outcomes: list[Outcome], is_advised: bool
) -> None:
    job_id = intake.send(*(a_case(key) for key in range(len(outcomes))))
    intake.finish(job_id, outcomes)
    with intake.client() as client:
        token = client.headers["authorization"].removeprefix("Bearer ")
        variables = {"URL": intake.url, "API_KEY": client.headers["x-api-key"], "TOKEN": token}
        told = run("status", job_id, cwd=tmp_path, variables={f"CARECASE_{k}": v for k, v in variables.items()})
        assert told.returncode == 0, told.stderr
        assert f"carecase result {job_id} --failed" in told.stderr
        assert (f"carecase retry {job_id}" in told.stderr) == is_advised
        assert (client.post(f"/jobs/{job_id}/retry").status_code == 202) == (is_advised and len(outcomes) < 1000)
