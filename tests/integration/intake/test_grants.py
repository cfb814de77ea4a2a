"""A database that is no longer granted to a client: its jobs there are to it what they are to anyone else."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from uuid import UUID

import pytest
from tests.builders import a_batch, a_case
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services

from carecase_worker.cases.outcomes import REFUSED

NEVER = UUID(int=7 << 76 | 2 << 62)
CALLS = [
    ("GET", ""),
    ("HEAD", ""),
    ("GET", "/result"),
    ("HEAD", "/result"),
    ("GET", "/result?page=1"),
    ("GET", "/result?outcome=failed"),
    ("DELETE", ""),
    ("POST", "/retry"),
]
"""Every call that names a job."""


@pytest.fixture(scope="module")
def before(servers: Services) -> Iterator[Intake]:
    """An intake of which ann may use the database `second`."""
    with an_intake(servers.redis_url, "grants:") as started:
        yield started


@pytest.fixture(scope="module")
def after(servers: Services, before: Intake) -> Iterator[Intake]:
    """An intake on the same job store once ann may use the database `demo` only."""
    with an_intake(servers.redis_url, "grants:", clients={"ann": {"databases": ["demo"]}}) as started:
        yield started


@pytest.mark.parametrize("state", ["queued", "completed"])
def test_a_job_of_a_database_that_is_no_longer_granted_is_as_one_that_never_was(
    before: Intake, after: Intake, state: str
) -> None:
    job_id = before.send(**{"vbasoftware-database": "second"})
    if state == "completed":
        before.finish(job_id, [REFUSED])
    as_it_was, open_jobs = before.store.jobs.job(job_id), before.store.workload.backlog("second")[0]
    with after.client(**{"idempotency-key": "k"}) as client:
        for (method, path), prefer in product(CALLS, ("respond-async", "wait=1")):
            response, never = (
                client.request(method, f"/jobs/{name}{path}", headers={"prefer": prefer}) for name in (job_id, NEVER)
            )
            assert (response.status_code, never.status_code) == (404, 404), (method, path)
            if method != "HEAD":
                error, expected = response.json()["error"], never.json()["error"]
                assert error == {**expected, "instance": f"/jobs/{job_id}{path.partition('?')[0]}"}
    now = before.store.jobs.job(job_id)
    assert (now.state, now.counts) == (as_it_was.state, as_it_was.counts)
    assert before.store.workload.backlog("second")[0] == open_jobs, "none is made, none is ended"


def test_a_job_of_a_database_that_is_granted_is_shown_as_ever(before: Intake, after: Intake) -> None:
    kept, lost = before.send(), before.send(**{"vbasoftware-database": "second"})
    before.finish(lost, [REFUSED])
    with after.client() as client, before.client() as as_before:
        assert client.get(f"/jobs/{kept}").status_code == 200
        for query, expected in (
            ("", [kept]),
            ("?database=demo", [kept]),
            ("?database=second", []),
            ("?state=completed", []),
        ):
            response = client.get(f"/jobs{query}")
            assert [job["jobId"] for job in response.json()["data"]] == expected
            assert json.loads(response.headers["x-pagination"])["TotalCount"] == len(expected)
        assert lost in as_before.get("/jobs?state=completed").text
        assert as_before.post(f"/jobs/{lost}/retry").status_code == 202


def test_a_client_that_may_make_no_dry_runs_is_told_what_it_may(servers: Services) -> None:
    """A dry run tells if a guess is what a case holds; a sender need not know that."""
    with ExitStack() as stack:
        wide = stack.enter_context(an_intake(servers.redis_url, "trials:"))
        narrow = stack.enter_context(an_intake(servers.redis_url, "trials:", clients={"ann": {"dry_runs": False}}))
        allowed, client = (stack.enter_context(intake.client()) for intake in (wide, narrow))
        sent = allowed.put("/care-cases-batch?dryRun=true", content=a_batch(a_case())).json()["job"]
        wide.finish(sent["jobId"], [REFUSED])
        for path in ("/care-cases-batch", "/care-plans/5/cases-batch"):
            response = client.put(f"{path}?dryRun=true", content=a_batch(a_case()))
            assert (response.status_code, response.json()["data"]) == (403, None)
            assert "validateOnly" in response.json()["error"]["detail"]
        assert client.post(f"/jobs/{sent['jobId']}/retry").status_code == 403
        assert client.put("/care-cases-batch?validateOnly=true", content=a_batch(a_case())).status_code == 207
        assert client.put("/care-cases-batch", content=a_batch(a_case())).status_code == 202
        assert allowed.post(f"/jobs/{sent['jobId']}/retry").status_code == 202
