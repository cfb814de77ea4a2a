"""Fixtures: a database with the schemas of two tenants."""

import pytest
from tests.integration.targets.databases import a_database, run
from tests.services import Services


@pytest.fixture(scope="session")
def url(servers: Services) -> str:
    """A database for tests that only look, with the empty schemas tenant_a and tenant_b."""
    url = a_database(servers)
    run(url, "CREATE SCHEMA tenant_a", "CREATE SCHEMA tenant_b")
    return url


@pytest.fixture
def schemas(url: str) -> str:
    """The same for tests that change it."""
    run(url, "DROP SCHEMA IF EXISTS tenant_a, tenant_b, public CASCADE")
    run(url, *(f"CREATE SCHEMA {name}" for name in ("tenant_a", "tenant_b", "public")))
    return url
