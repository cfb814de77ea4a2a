"""Every dialect and every statement builder passes the same suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.integration.targets.conformance import UpsertConformance
from tests.services import Services

from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema import schema_differences, upgrade
from carecase_worker.targets.tenants import Tenant
from carecase_worker.targets.upserts import PortableUpsert, PostgresUpsert, Upsert


def engine_at(url: str) -> Engine:
    engine = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": url})))
    upgrade(engine)
    return engine


class OnPostgres(UpsertConformance):
    @pytest.fixture
    def engine(self, servers: Services) -> Iterator[Engine]:
        engine = engine_at(servers.postgres_url)
        yield engine
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE care_case DROP CONSTRAINT IF EXISTS priority_check"))
        engine.dispose()


class TestSetBasedOnPostgres(OnPostgres):
    @pytest.fixture
    def upsert(self) -> Upsert:
        return PostgresUpsert()


class TestPortableOnPostgres(OnPostgres):
    @pytest.fixture
    def upsert(self) -> Upsert:
        return PortableUpsert("postgresql")


class TestPortableOnSqlite(UpsertConformance):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        engine = engine_at(f"sqlite:///{tmp_path / 'cases.sqlite'}")
        yield engine
        engine.dispose()

    @pytest.fixture
    def upsert(self) -> Upsert:
        return PortableUpsert("sqlite")


def test_the_migrations_make_what_the_field_table_says(servers: Services, tmp_path: Path) -> None:
    for url in (servers.postgres_url, f"sqlite:///{tmp_path / 'cases.sqlite'}"):
        engine = engine_at(url)
        assert schema_differences(engine) == []
        engine.dispose()


def test_a_schema_that_lacks_something_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'cases.sqlite'}"
    bare = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": url})))
    assert any("carecase db upgrade" in line for line in schema_differences(bare))
    upgrade(bare)
    with bare.begin() as connection:
        connection.execute(text("ALTER TABLE care_case DROP COLUMN group_id"))
    assert any("group_id" in line for line in schema_differences(bare))
