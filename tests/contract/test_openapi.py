"""The published description is there, is valid, is whole, and keeps the names that generated clients know."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.acceptance.system import System
from tests.json_schema import validate, validate_openapi
from tests.plain_http import http_get

JSON_TYPES = {"application/json", "text/json", "text/plain"}
OF_EVERY_CALL = {"400", "401", "403", "406", "429", "431", "500", "503"}
OF_A_JOB = {"404", "410"}
ANSWERS = {
    "UpdateBatchCareCase": {"202", "207", "408", "413", "415", "422", "507"},
    "UpdateBatchCareCaseOfAnyCarePlan": {"202", "207", "408", "413", "415", "422", "507"},
    "ListMappings": {"200"},
    "ListJobs": {"200"},
    "GetJob": {"200", "304", *OF_A_JOB},
    "GetJobResult": {"202", "207", *OF_A_JOB},
    "ListJobEvents": {"200"},
    "GetJobEvents": {"200", "204", *OF_A_JOB},
    "CancelJob": {"202", "204", "409", *OF_A_JOB},
    "RetryJob": {"202", "409", "422", "507", *OF_A_JOB},
}


@pytest.fixture(scope="module")
def published(system: System) -> dict[str, Any]:
    return dict(http_get(f"{system.stack['intake']['url']}/openapi.json").json())


def operations(published: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in published["paths"].values():
        yield from path.values()


def test_it_is_valid(published: dict[str, Any]) -> None:
    validate_openapi(published)
    assert "HTTPValidationError" not in json.dumps(published)


def test_it_keeps_the_published_names(published: dict[str, Any]) -> None:
    schemas = published["components"]["schemas"]
    assert {"CareCase", "MultiCodeResponse", "MultiCodeResponseListVBAResponse", "KeyValuePair"} <= set(schemas)
    assert set(published["components"]["securitySchemes"]) == {"apiKeyAuth", "bearerAuth"}
    put = published["paths"]["/care-plans/{carePlanKey}/cases-batch"]["put"]
    assert put["operationId"] == "UpdateBatchCareCase"
    files = {"text/csv", "text/tab-separated-values", "text/plain"}
    types = {"application/json", "text/json", "application/*+json", "application/x-ndjson", *files}
    assert set(put["requestBody"]["content"]) == types
    multi_status = put["responses"]["207"]["content"]["application/json"]["schema"]["$ref"]
    assert multi_status == "#/components/schemas/MultiCodeResponseListVBAResponse"
    parameters = {parameter["name"]: parameter for parameter in put["parameters"]}
    assert parameters["vbasoftware-database"]["required"]
    assert parameters["carePlanKey"]["schema"]["format"] == "int32"


def test_every_call_has_its_answers(published: dict[str, Any]) -> None:
    statuses = {
        operation["operationId"]: set(operation["responses"])
        for operation in operations(published)
        if operation["security"]
    }
    assert statuses == {name: answers | OF_EVERY_CALL for name, answers in ANSWERS.items()}
    assert all(
        operation["security"] == [{"apiKeyAuth": [], "bearerAuth": []}]
        for operation in operations(published)
        if operation["security"]
    )


def test_every_answer_has_an_example_that_fits_and_described_headers(published: dict[str, Any]) -> None:
    for operation in operations(published):
        for status, response in operation["responses"].items():
            assert response["description"]
            assert all(header["description"] and header["example"] for header in response.get("headers", {}).values())
            content = response.get("content", {})
            assert content or status in ("204", "304")
            if operation["security"] and content:
                is_stream = status == "200" and operation["operationId"].endswith("Events")
                of_results = JSON_TYPES | ({"text/csv"} if status == "207" else set())
                assert set(content) == ({"text/event-stream"} if is_stream else of_results)
            for described in content.values():
                schema = {**described.get("schema", {}), "components": published["components"]}
                validate(described["example"], schema)


def test_an_acceptance_links_to_what_can_be_done_with_the_job(published: dict[str, Any]) -> None:
    links = published["paths"]["/care-cases-batch"]["put"]["responses"]["202"]["links"]
    assert set(links) == {"GetJob", "GetJobResult", "CancelJob", "RetryJob"}
    for name, link in links.items():
        assert (link["operationId"], link["parameters"]) == (name, {"jobId": "$response.body#/job/jobId"})
    headers = published["paths"]["/care-cases-batch"]["put"]["responses"]["202"]["headers"]
    assert set(headers) == {"Location", "Retry-After", "Preference-Applied"}
