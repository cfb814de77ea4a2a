"""A client made from the published description by a generator sends a batch and reads what became of it."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.acceptance.system import System, eventually
from tests.environments import ROOT, environment
from tests.kept import KeptDirectories
from tests.plain_http import http_get

OPTIONS = {
    "post_hooks": [],
    # this generator cannot tell two types of body apart if both are lists
    "content_type_overrides": {"application/*+json": "application/x-left-out"},
}


@pytest.fixture(scope="module")
def generated(system: System, kept: KeptDirectories, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Imports modules of the generated package."""
    place = tmp_path_factory.mktemp("generated")
    (place / "options.yml").write_text(yaml.safe_dump(OPTIONS))
    (place / "openapi.json").write_bytes(http_get(f"{system.stack['intake']['url']}/openapi.json").content)
    lock = "requirements-generator.lock"
    made_of = [(ROOT / lock).read_text()]
    generator = kept.directory("generator", lambda place: environment(place, "--require-hashes", "-r", lock), made_of)
    options = ("--path=openapi.json", "--output-path=care_client", "--meta=none", "--config=options.yml")
    done = subprocess.run(
        (generator / "bin" / "openapi-python-client", "generate", *options), cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(place))
    yield lambda name: importlib.import_module(f"care_client.{name}")
    sys.path.remove(str(place))


def test_a_generated_client_sends_a_batch_and_reads_the_result(system: System, first_key: int, generated: Any) -> None:
    stack = system.stack
    who = stack["clients"][0]
    models = generated("models")
    batches = generated("api.care_cases.update_batch_care_case")
    jobs, results = generated("api.jobs.get_job"), generated("api.jobs.get_job_result")
    cases = [
        models.CareCase(case_key=first_key, care_plan_key=5, do_not_contact=False, case_status="OPEN"),
        models.CareCase(case_key=first_key + 1, care_plan_key=6, do_not_contact=True),
    ]
    client = generated("client").AuthenticatedClient(
        base_url=stack["intake"]["url"], token=who["bearer"], headers={"x-api-key": who["api_key"]}
    )
    with client:
        accepted = batches.sync(5, client=client, body=cases, vbasoftware_database="demo")
        assert isinstance(accepted, models.AcceptedEnvelope)
        job_id = accepted.job.job_id

        def completed() -> bool:
            return bool(jobs.sync(job_id, client=client).data.state.value == "completed")

        eventually(completed)
        result = results.sync(job_id, client=client)
        assert isinstance(result, models.MultiCodeResponseListVBAResponse)
        assert [(item.id[0].value, item.status.value) for item in result.data] == [
            (first_key, 201),
            (first_key + 1, 422),
        ]

        at_once = batches.sync(5, client=client, body=cases, vbasoftware_database="demo", prefer="wait=30")
        assert at_once.data[0].body == "Updated"
        refused = batches.sync(5, client=client, body=cases, vbasoftware_database="nowhere")
        assert isinstance(refused, models.ProblemEnvelope)
        assert refused.error.status == 403
