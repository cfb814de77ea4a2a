"""GET /jobs: the caller's jobs."""

import json

import pytest
from tests.acceptance.system import System
from tests.builders import a_case


def test_jobs_are_listed_newest_first_in_pages(system: System, first_key: int) -> None:
    sent = [system.send([a_case(first_key + n)]) for n in range(5)]
    for job_id in sent:
        system.final(job_id)
    with system.client() as client:
        newest = client.get("/jobs", params={"pageSize": 2})
        next_ones = client.get("/jobs", params={"page": 2, "pageSize": 2})
        one = client.get(f"/jobs/{sent[4]}").json()["data"]
    assert [job["jobId"] for job in (*newest.json()["data"], *next_ones.json()["data"])] == sent[:0:-1]
    assert newest.json()["data"][0] == one
    document = json.loads(newest.headers["x-pagination"])
    assert (document["CurrentPage"], document["PageSize"]) == (1, 2)
    assert document["TotalCount"] >= 5
    assert document["TotalPages"] == -(-document["TotalCount"] // 2)


def test_jobs_are_chosen_by_state_and_database(system: System, first_key: int) -> None:
    job_id = system.send([a_case(first_key)], database="demo_sqlite")
    system.final(job_id)
    with system.client() as client:
        chosen = client.get("/jobs", params={"database": "demo_sqlite", "state": "completed"})
        assert chosen.json()["data"][0]["jobId"] == job_id
        assert {(job["database"], job["state"]) for job in chosen.json()["data"]} == {("demo_sqlite", "completed")}
        none = client.get("/jobs", params={"database": "nowhere"})
        assert (none.json()["data"], json.loads(none.headers["x-pagination"])["TotalCount"]) == ([], 0)


def test_jobs_of_somebody_else_are_not_listed(system: System, first_key: int) -> None:
    job_id = system.send([a_case(first_key)])
    with system.client("other") as stranger:
        assert job_id not in stranger.get("/jobs").text


@pytest.mark.parametrize("query", ["state=done", "page=0", "pageSize=x"])
def test_what_is_no_state_and_no_page_is_refused(system: System, query: str) -> None:
    with system.client() as client:
        assert client.get(f"/jobs?{query}").status_code == 400
