"""What docs/operations/versions.md says is supported works; what is not is refused by whoever opens a database."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine
from tests.integration.targets.conformance import UpsertConformance
from tests.integration.targets.databases import ask, engine_at
from tests.integration.targets.grounds import WAYS, name_of, upsert_of
from tests.lowest_postgres import VERSION, lowest_postgres
from tests.posing import posing_as
from tests.services import Services

from carecase_worker.errors import TargetFailure
from carecase_worker.settings.loading import process_environment
from carecase_worker.targets.dialects.postgresql.errors import LOWEST as LOWEST_POSTGRES
from carecase_worker.targets.dialects.sqlite.errors import LOWEST as LOWEST_SQLITE
from carecase_worker.targets.dialects.upsert import ComparableUpsert
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import schema_differences

DOCS = Path(__file__).parent.parent.parent.parent / "docs" / "operations" / "versions.md"
ROLES = (("db", "upgrade"), ("db", "check"), ("db", "current"), ("doctor",), ("worker",))


@pytest.fixture(scope="module")
def lowest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = tmp_path_factory.mktemp("lowest")
    for directory in (place, *place.parents[:2]):
        directory.chmod(0o711)
    with lowest_postgres(place) as url:
        yield url


class TestOnTheLowestPostgres(UpsertConformance):
    @pytest.fixture
    def engine(self, lowest: str) -> Iterator[Engine]:
        with engine_at(lowest) as engine:
            upgrade(engine)
            assert schema_differences(engine) == []
            assert ask(engine, "SHOW server_version_num").startswith(str(VERSION))
            yield engine
        with engine_at(lowest) as engine, engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE care_case DROP CONSTRAINT IF EXISTS priority_check")

    @pytest.fixture(params=[way for way in WAYS if way[0] == "postgresql"], ids=name_of)
    def upsert(self, request: pytest.FixtureRequest) -> ComparableUpsert:
        return upsert_of(request.param)


@pytest.fixture(scope="module")
def too_old(servers: Services) -> Iterator[str]:
    """The URL of a PostgreSQL that says it is of the version before the lowest."""
    port = urlsplit(servers.postgres_url).port
    assert port is not None
    with posing_as(LOWEST_POSTGRES - 1, port) as posing:
        yield servers.postgres_url.replace(str(port), str(posing))


def test_the_lowest_version_is_taken_and_the_one_before_is_not(servers: Services, too_old: str) -> None:
    port = urlsplit(servers.postgres_url).port
    assert port is not None
    with (
        posing_as(LOWEST_POSTGRES, port) as lowest,
        engine_at(servers.postgres_url.replace(str(port), str(lowest))) as at,
    ):
        assert ask(at, "SELECT 1") == 1
    with engine_at(too_old) as engine, pytest.raises(TargetFailure, match=r"versions\.md"):
        schema_differences(engine)


@pytest.mark.parametrize("role", ROLES, ids=" ".join)
def test_each_role_refuses_a_postgresql_that_is_too_old(
    servers: Services, too_old: str, tmp_path: Path, role: tuple[str, ...]
) -> None:
    variables = {"REDIS_URL": servers.redis_url, "REDIS_PREFIX": "v:", "DATABASES_OLD_URL": too_old}
    environment = {**process_environment(), **{f"CARECASE_{name}": value for name, value in variables.items()}}
    ran = subprocess.run(
        [sys.executable, "-m", "carecase_worker", *role],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode in (1, 2)
    (line,) = [line for line in (ran.stdout + ran.stderr).splitlines() if "old" in line]
    assert f"PostgreSQL {LOWEST_POSTGRES}" in line
    assert "docs/operations/versions.md" in line
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(("version", "refused"), [((3, 34, 1), True), (LOWEST_SQLITE, False)])
def test_an_sqlite_library_that_is_too_old_is_refused(tmp_path: Path, version: tuple[int, ...], refused: bool) -> None:
    program = (
        f"import sqlite3; sqlite3.sqlite_version_info = {version}\nfrom carecase_worker.__main__ import main; main()"
    )
    environment = {**process_environment(), "CARECASE_DATABASES_D_URL": f"sqlite:///{tmp_path}/d.sqlite"}
    ran = subprocess.run(
        [sys.executable, "-c", program, "db", "upgrade"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    (line,) = ran.stdout.splitlines()
    assert ("SQLite 3.35" in line) == refused
    assert (ran.returncode == 1) == refused


def test_the_table_in_the_docs_is_that_of_the_code() -> None:
    table = DOCS.read_text()
    assert re.search(rf"^\| PostgreSQL \| {LOWEST_POSTGRES} \|", table, re.MULTILINE)
    assert re.search(rf"^\| SQLite \| {LOWEST_SQLITE[0]}\.{LOWEST_SQLITE[1]} \|", table, re.MULTILINE)
