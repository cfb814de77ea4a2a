"""The watch over schemas: one that is behind is reported until it is migrated, also while there are no jobs."""

from pathlib import Path
from urllib.parse import quote_plus

from tests.integration.targets.databases import a_database, engine_at
from tests.ports import free_port
from tests.services import Services

from carecase_worker.settings.loading import load
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.tenants import tenants_of
from carecase_worker.worker.schema_watch import SchemaWatch


def samples_of(watch: SchemaWatch) -> dict[str, float]:
    watch.once()
    return {one.labels["database"]: one.value for one in watch()}


def test_a_schema_that_is_behind_is_reported_until_it_is_migrated(servers: Services) -> None:
    url = a_database(servers)
    nobody = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none"
    variables = {"CARECASE_DATABASES_DEMO_URL": url, "CARECASE_DATABASES_AWAY_URL": nobody}
    watch = SchemaWatch(tenants_of(load(None, variables).databases))
    assert samples_of(watch) == {"demo": 1}, "of one that does not answer nothing is known"
    with engine_at(url) as engine:
        upgrade(engine)
    assert samples_of(watch) == {"demo": 0}


def test_a_schema_that_is_not_there_is_one_that_is_behind(servers: Services) -> None:
    url = f"{servers.postgres_url}?options={quote_plus('-csearch_path=nowhere')}"
    watch = SchemaWatch(tenants_of(load(None, {"CARECASE_DATABASES_DEMO_URL": url}).databases))
    assert samples_of(watch) == {"demo": 1}


def test_once_a_database_is_away_nothing_is_known_of_its_schema_any_more(tmp_path: Path) -> None:
    file = tmp_path / "cases.sqlite"
    watch = SchemaWatch(tenants_of(load(None, {"CARECASE_DATABASES_DEMO_URL": f"sqlite:///{file}"}).databases))
    file.touch()
    assert samples_of(watch) == {"demo": 1}
    file.unlink()
    assert samples_of(watch) == {}
