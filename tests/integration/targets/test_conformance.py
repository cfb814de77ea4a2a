"""Every dialect and every statement builder passes the same suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.integration.targets.conformance import UpsertConformance
from tests.integration.targets.engines import engine_at
from tests.integration.targets.grounds import GROUNDS, WAYS, name_of, upsert_of
from tests.services import Services

from carecase_worker.settings.model import DatabaseSettings
from carecase_worker.targets.dialects.registry import DIALECTS
from carecase_worker.targets.dialects.upsert import ComparableUpsert
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import schema_differences
from carecase_worker.targets.tenants import Tenant


def test_every_dialect_has_a_ground() -> None:
    assert set(GROUNDS) == set(DIALECTS), "see CONTRIBUTING.md, Add a dialect"


@pytest.mark.parametrize("way", WAYS, ids=name_of, scope="class")
class TestEveryDialect(UpsertConformance):
    @pytest.fixture
    def engine(self, way: tuple[str, str], servers: Services, tmp_path: Path) -> Iterator[Engine]:
        engine = engine_at(GROUNDS[way[0]].empty(servers, tmp_path))
        yield engine
        engine.dispose()

    @pytest.fixture
    def upsert(self, way: tuple[str, str]) -> ComparableUpsert:
        return upsert_of(way)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_migrations_make_what_the_field_table_says(servers: Services, tmp_path: Path, dialect: str) -> None:
    engine = engine_at(GROUNDS[dialect].empty(servers, tmp_path))
    assert schema_differences(engine) == []
    engine.dispose()


def test_a_schema_that_lacks_something_is_reported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'cases.sqlite'}"
    bare = engine_for(Tenant("demo", DatabaseSettings.model_validate({"url": url})))
    assert any("carecase db upgrade" in line for line in schema_differences(bare))
    upgrade(bare)
    with bare.begin() as connection:
        connection.execute(text("ALTER TABLE care_case DROP COLUMN group_id"))
    assert any("group_id" in line for line in schema_differences(bare))
