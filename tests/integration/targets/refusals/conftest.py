"""Fixtures: a database whose schema these tests may spoil, in each way of writing."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.integration.targets.engines import engine_at
from tests.integration.targets.grounds import WAYS, name_of, upsert_of
from tests.integration.targets.refusals.spoiling import run
from tests.services import Services

from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.dialects.upsert import ComparableUpsert
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.migration import create_database
from carecase_worker.targets.tenants import Tenant


@pytest.fixture(params=[way for way in WAYS if way[0] == "postgresql"], ids=name_of)
def upsert(request: pytest.FixtureRequest) -> ComparableUpsert:
    return upsert_of(request.param)


@pytest.fixture(scope="session")
def kept_engine(servers: Services) -> Iterator[Engine]:
    """The engine of a database whose schema these tests may spoil; to make one costs more than most of them do."""
    create_database(servers.postgres_url, "refusals")
    engine = engine_at(servers.postgres_url.removesuffix("demo") + "refusals")
    yield engine
    engine.dispose()


@pytest.fixture
def engine(kept_engine: Engine) -> Iterator[Engine]:
    """The same with one connection, which no earlier test has used and which was made before anything is spoiled."""
    kept_engine.connect().close()
    yield kept_engine
    pool: Any = kept_engine.pool
    assert pool.checkedout() == 0, "a connection was not given back"
    kept_engine.dispose()


@pytest.fixture
def lesser(engine: Engine) -> Iterator[Engine]:
    """The engine of a user that owns nothing and may do what it must."""
    run(
        engine,
        "CREATE ROLE lesser LOGIN PASSWORD 'secret'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON care_case, ingest_ledger TO lesser",
    )
    url = engine.url.set(username="lesser").render_as_string(hide_password=False)
    theirs = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": url})))
    yield theirs
    theirs.dispose()
    run(engine, "DROP OWNED BY lesser", "DROP ROLE lesser")
