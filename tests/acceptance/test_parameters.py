"""Parameters that are not as described: the answer says what is allowed."""

import pytest
from tests.acceptance.system import System
from tests.builders import a_case

JOB = "/jobs/019a9f0c-3c5e-7d61-8f0a-3b1f6f1e2a77"
INT32 = "must be an integer from -2147483648 to 2147483647"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("GET /jobs?state=done", "state must be queued, running, waiting, cancelling, completed or cancelled"),
        ("GET /jobs?state=", "state must be queued,"),
        ("GET /jobs?page=0", "page must be an integer from 1 to 2147483647"),
        ("GET /jobs?page=1.0&pageSize=1001", "pageSize must be an integer from 1 to 1000"),
        ("HEAD /jobs?page=one", ""),
        (f"GET {JOB}/result?outcome=good", "outcome must be created, updated, superseded, failed or cancelled"),
        (f"GET {JOB}/result?page=-1", "page must be an integer from 1"),
        ("PUT /care-cases-batch?validateOnly=maybe", "validateOnly must be true or false"),
        ("PUT /care-cases-batch?validateOnly=", "validateOnly must be true or false"),
        ("PUT /care-plans/five/cases-batch", f"carePlanKey {INT32}"),
        ("PUT /care-plans/2147483648/cases-batch", f"carePlanKey {INT32}"),
        ("PUT /care-cases-batch Idempotency-Key=", "Idempotency-Key must have 1 to 255 characters"),
        (f"POST {JOB}/retry Idempotency-Key={'x' * 256}", "Idempotency-Key must have 1 to 255 characters"),
        ("GET /jobs?stat=queued", "did you mean state? This path takes page, pageSize, state and database"),
        ("GET /jobs?pagesize=5", "did you mean pageSize?"),
        ("GET /jobs?secret-value=5", "There is no such query parameter. This path takes page,"),
        (f"GET {JOB}?page=1", "There is no such query parameter. This path takes none"),
        (
            f"GET {JOB}/result?outcom=failed",
            "did you mean outcome? This path takes page, pageSize, outcome and partial",
        ),
        (f"POST {JOB}/retry?all=true", "This path takes none"),
        ("PUT /care-cases-batch?validateonly=true", "did you mean validateOnly? This path takes validateOnly"),
        ("PUT /care-cases-batch?preview=1", "This path takes validateOnly"),
        ("PUT /care-cases-batch?validateOnly=true&validateOnly=false", "validateOnly comes more than once"),
        ("GET /jobs?state=queued&state=running", "state comes more than once"),
    ],
)
def test_a_bad_parameter_is_refused_with_what_is_allowed(system: System, call: str, words: str) -> None:
    method, path, *header = call.split(" ")
    headers = dict(one.split("=", 1) for one in header)
    with system.client() as client:
        response = client.request(method, path, headers=headers, json=[a_case(1)] if method == "PUT" else None)
    assert response.status_code == 400
    if method != "HEAD":
        detail = response.json()["error"]["detail"]
        assert words in detail
        assert "secret-value" not in detail


def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(system: System) -> None:
    with system.client() as client:
        response = client.post("/care-cases-batch", json=[a_case(1)])
    assert response.status_code == 405
    assert response.json()["error"]["detail"].endswith("It allows PUT, OPTIONS.")
