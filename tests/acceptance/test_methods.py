"""Methods: HEAD, OPTIONS, and those that a path does not take."""

import pytest
from tests.acceptance.system import System
from tests.builders import a_case
from tests.plain_http import http_client


def test_head_is_get_without_the_body(system: System, first_key: int) -> None:
    job_id = system.send([a_case(first_key)])
    system.final(job_id)
    with system.client(**{"Accept-Encoding": "identity"}) as client:
        for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/result", "/jobs", "/livez", "/readyz", "/openapi.json"):
            head, get = client.head(path), client.get(path)
            assert (head.status_code, head.content) == (get.status_code, b""), path
            changing = {"date", "retry-after"}
            assert head.headers.items() - get.headers.items() <= {
                (name, value) for name, value in head.headers.items() if name in changing
            }
        assert client.head("/jobs/no-such-job").status_code == 404


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/care-cases-batch", {"PUT", "OPTIONS"}),
        ("/care-plans/5/cases-batch", {"PUT", "OPTIONS"}),
        ("/mappings", {"GET", "HEAD", "OPTIONS"}),
        ("/jobs", {"GET", "HEAD", "OPTIONS"}),
        ("/jobs/x", {"GET", "HEAD", "DELETE", "OPTIONS"}),
        ("/jobs/x/result", {"GET", "HEAD", "OPTIONS"}),
        ("/jobs/x/retry", {"POST", "OPTIONS"}),
        ("/livez", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_path_says_which_methods_it_takes(system: System, path: str, methods: set[str]) -> None:
    url = system.stack["intake"]["url"] + path
    with http_client() as client:
        options, wrong = client.options(url), client.patch(url)
    assert options.status_code == 204
    assert wrong.status_code == wrong.json()["error"]["status"] == 405
    assert wrong.json()["debug"]["activityID"]
    for response in (options, wrong):
        assert {method.strip() for method in response.headers["allow"].split(",")} == methods


def test_a_path_that_is_not_there_has_no_options(system: System) -> None:
    with http_client(base_url=system.stack["intake"]["url"]) as client:
        assert client.options("/nothing").status_code == 404
