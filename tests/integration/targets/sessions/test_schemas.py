"""A tenant has the tables of its own schema, whatever else is in its search path."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from tests.builders import a_case
from tests.integration.targets.databases import ask, engine_at, run
from tests.integration.targets.sessions.writing import write

from carecase_worker.cases.outcomes import CREATED
from carecase_worker.errors import TargetFailure
from carecase_worker.targets.purge import purge_ledger
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import schema_differences


def test_two_tenants_in_two_schemas_of_one_server_share_nothing(schemas: str) -> None:
    for name in ("tenant_a", "tenant_b"):
        with engine_at(schemas, f"-csearch_path={name}") as engine:
            assert schema_differences(engine) != []
            upgrade(engine)
            assert schema_differences(engine) == []
        assert write(schemas, f"-csearch_path={name}", a_case(1, case_ID=name)) == [CREATED]
    with engine_at(schemas) as engine:
        for name in ("tenant_a", "tenant_b"):
            assert ask(engine, f"SELECT case_id FROM {name}.care_case") == name
            assert ask(engine, f"SELECT count(*) FROM {name}.ingest_ledger") == 1
            assert ask(engine, f"SELECT version_num FROM {name}.carecase_schema") == "0001"
        assert ask(engine, "SELECT to_regclass('public.care_case') IS NULL")


def test_the_schema_of_a_role_or_a_database_is_the_tenants(schemas: str) -> None:
    run(
        schemas,
        "DROP ROLE IF EXISTS tenant_role",
        "CREATE ROLE tenant_role LOGIN PASSWORD 'own'",
        "GRANT ALL ON SCHEMA tenant_b TO tenant_role",
        "ALTER ROLE tenant_role SET search_path = tenant_b",
        f"ALTER DATABASE {urlsplit(schemas).path[1:]} SET search_path = tenant_a",
    )
    of_role = schemas.replace("postgres:secret@", "tenant_role:own@")
    try:
        for tenant_url, schema in ((schemas, "tenant_a"), (of_role, "tenant_b")):
            with engine_at(tenant_url) as engine:
                upgrade(engine)
                assert schema_differences(engine) == []
                assert ask(engine, "SELECT 'care_case'::regclass::oid") == ask(
                    engine, f"SELECT '{schema}.care_case'::regclass::oid"
                )
    finally:
        run(schemas, "DROP OWNED BY tenant_role", "DROP ROLE tenant_role")
        run(schemas, f"ALTER DATABASE {urlsplit(schemas).path[1:]} RESET search_path")


class TestTablesOfAnotherTenantFurtherDownTheSearchPath:
    """The path of b goes on into the schema of a, where all the tables are."""

    B = r"-csearch_path=tenant_b,\ tenant_a,\ public"

    @pytest.fixture
    def a_only(self, schemas: str) -> str:
        with engine_at(schemas, "-csearch_path=tenant_a") as engine:
            upgrade(engine)
        return schemas

    def test_they_are_not_taken_for_its_own(self, a_only: str) -> None:
        with engine_at(a_only, self.B) as engine:
            assert any("carecase db upgrade" in line for line in schema_differences(engine))

    def test_nothing_is_written_to_them(self, a_only: str) -> None:
        with pytest.raises(TargetFailure) as caught:
            write(a_only, self.B, a_case(1))
        assert caught.value.cause is not None
        assert caught.value.cause.name == "schema"
        with engine_at(a_only) as engine:
            assert ask(engine, "SELECT count(*) FROM tenant_a.care_case") == 0

    def test_nothing_is_purged_from_them(self, a_only: str) -> None:
        run(a_only, "INSERT INTO tenant_a.ingest_ledger VALUES (gen_random_uuid(), 0, 'o', '2020-01-01')")
        with engine_at(a_only, self.B) as engine, pytest.raises(TargetFailure, match="42P01"):
            purge_ledger(engine, timedelta(days=1))

    def test_upgrade_makes_its_own(self, a_only: str) -> None:
        with engine_at(a_only, self.B) as engine:
            upgrade(engine)
            assert schema_differences(engine) == []
        assert write(a_only, self.B, a_case(1)) == [CREATED]
        with engine_at(a_only) as engine:
            assert ask(engine, "SELECT count(*) FROM tenant_a.care_case") == 0

    def test_nothing_is_written_to_them_once_its_own_are_gone(self, a_only: str) -> None:
        with engine_at(a_only, self.B) as engine:
            upgrade(engine)
            with engine.connect() as connection:
                connection.execute(text("SELECT 1 FROM care_case"))
                connection.rollback()
                run(a_only, "DROP SCHEMA tenant_b CASCADE")
                assert connection.execute(text("SELECT to_regclass('care_case')")).scalar() is None

    def test_functions_of_a_schema_without_our_tables_stay_in_reach(self, a_only: str) -> None:
        of_all = "CREATE FUNCTION public.of_all() RETURNS int LANGUAGE sql AS 'SELECT n FROM public.tools'"
        run(a_only, "CREATE TABLE public.tools AS SELECT 7 AS n", of_all)
        with engine_at(a_only, self.B) as engine:
            assert ask(engine, "SELECT of_all()") == 7


@pytest.mark.parametrize(
    "path",
    [
        "nowhere",
        "nowhere, public",
        '"$user", nowhere, public',
        '"No where", public',
        '"tenant""b", tenant_b',
        "Tenant_A,public",
        '"$user"',
        '"$user", pg_temp',
    ],
)
def test_a_search_path_whose_first_schema_is_not_there_is_refused(schemas: str, path: str) -> None:
    run(schemas, "DROP SCHEMA tenant_a")
    with engine_at(schemas, "-csearch_path=" + path.replace(" ", r"\ ")) as engine:
        for call in (schema_differences, upgrade):
            with pytest.raises(TargetFailure, match="CREATE SCHEMA"):
                call(engine)
    with engine_at(schemas) as engine:
        assert ask(engine, "SELECT to_regclass('public.care_case') IS NULL")


@pytest.mark.parametrize(("path", "used"), [("Tenant_A", "tenant_a"), ('"Mixed"', "Mixed"), ('"a,b"', "a,b")])
def test_names_of_schemas_are_read_as_postgresql_does(schemas: str, path: str, used: str) -> None:
    run(schemas, *(f'DROP SCHEMA IF EXISTS "{name}" CASCADE' for name in ("Mixed", "a,b")))
    run(schemas, 'CREATE SCHEMA "Mixed"', 'CREATE SCHEMA "a,b"')
    with engine_at(schemas, f"-csearch_path={path},pg_catalog") as engine:
        upgrade(engine)
        assert schema_differences(engine) == []
        assert ask(engine, "SELECT current_schema()") == used
