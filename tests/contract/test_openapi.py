"""The published description is there, is valid, and keeps the names that generated clients know."""

import json

import httpx
import pytest
from openapi_spec_validator import validate as validate_openapi
from tests.acceptance.system import System


@pytest.fixture(scope="module")
def published(system: System) -> dict[str, object]:
    return dict(httpx.get(f"{system.stack['intake']['url']}/openapi.json").json())


def test_it_is_valid(published: dict[str, object]) -> None:
    validate_openapi(published)
    assert "HTTPValidationError" not in json.dumps(published)


def test_it_keeps_the_published_names(published: dict[str, object]) -> None:
    schemas = published["components"]["schemas"]
    assert {"CareCase", "MultiCodeResponse"} <= set(schemas)
    assert set(published["components"]["securitySchemes"]) == {"apiKeyAuth", "bearerAuth"}
    put = published["paths"]["/care-plans/{carePlanKey}/cases-batch"]["put"]
    assert {"application/json", "text/json", "application/*+json"} <= set(put["requestBody"]["content"])
    assert {"202", "400", "401", "403", "413", "415", "503"} <= set(put["responses"])
