"""What a URL says to libpq arrives, what carecase sets comes last, and each tenant has its own schema's tables."""

import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from tests.acceptance.system import eventually
from tests.builders import a_batch, a_case, a_lease
from tests.integration.targets.databases import a_database, ask, engine_at, run, tenant
from tests.needs import need
from tests.ports import free_port
from tests.services import Services

from carecase_worker.batches.chunking import Chunk
from carecase_worker.cases.outcomes import CREATED, Outcome
from carecase_worker.errors import SettingsError, TargetFailure
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.purge import purge_ledger
from carecase_worker.targets.registry import Targets
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import schema_differences
from carecase_worker.targets.writing.ledger import LedgerKey
from carecase_worker.worker.attempts.planning import plan_chunk

OURS = {
    "statement_timeout": "8s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "16s",
    "client_connection_check_interval": "1s", "TimeZone": "UTC", "client_encoding": "UTF8", "synchronous_commit": "on",
}  # fmt: skip


@pytest.fixture(scope="module")
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


def write(url: str, options: str, *cases: dict[str, object]) -> list[Outcome]:
    """Apply a batch as a worker does."""
    key = LedgerKey(uuid4(), 0)
    lease = a_lease(key.job_id)
    with engine_at(url, options) as engine:
        targets = Targets({"d": tenant(engine.url.render_as_string(hide_password=False))})
        try:
            return targets.writer("d").write(key, plan_chunk(Chunk(0, len(cases), a_batch(*cases)), lease))
        finally:
            targets.disconnect("d")


@pytest.mark.parametrize(
    ("options", "setting", "value"),
    [
        ("-csearch_path=tenant_a", "search_path", "tenant_a"),
        ("-c search_path=tenant_b", "search_path", "tenant_b"),
        ("--search_path=tenant_a", "search_path", "tenant_a"),
        ("--search-path=tenant_a -c geqo=off", "search_path", "tenant_a"),
        ("-csearch_path=tenant_a  -c  geqo=off", "geqo", "off"),
        (r"-c search_path=tenant_a,\ tenant_b", "search_path", "tenant_a, tenant_b"),
        (r"-c application_name=two\ words", "application_name", "two words"),
    ],
)
def test_the_options_of_a_url_arrive_beside_ours(url: str, options: str, setting: str, value: str) -> None:
    with engine_at(url, options) as engine:
        assert ask(engine, f"SHOW {setting}") == value
        assert {name: ask(engine, f"SHOW {name}") for name in OURS} == OURS


@pytest.mark.parametrize(
    ("parameter", "shown", "value"),
    [
        ("application_name=tenant", "SHOW application_name", "tenant"),
        ("application_name=a%20b", "SHOW application_name", "a b"),
        ("fallback_application_name=tenant", "SHOW application_name", "tenant"),
        ("target_session_attrs=read-write", "SHOW transaction_read_only", "off"),
        ("sslmode=prefer", "SHOW ssl", "off"),
        ("keepalives=0", "SHOW application_name", "carecase-worker"),
    ],
)
def test_every_other_parameter_arrives(url: str, parameter: str, shown: str, value: str) -> None:
    with engine_at(f"{url}?{parameter}") as engine:
        assert ask(engine, shown) == value


@pytest.mark.parametrize(
    ("parameter", "keyword", "value"),
    [
        ("connect_timeout=9", "connect_timeout", "9"),
        ("", "connect_timeout", "3"),
        ("keepalives_idle=77", "keepalives_idle", "77"),
        ("keepalives_interval=7", "keepalives_interval", "7"),
        ("keepalives_count=9", "keepalives_count", "9"),
        ("tcp_user_timeout=1234", "tcp_user_timeout", "1234"),
        ("passfile=/nowhere/pgpass", "passfile", "/nowhere/pgpass"),
        ("sslrootcert=/nowhere/ca.pem&sslmode=prefer", "sslrootcert", "/nowhere/ca.pem"),
    ],
)
def test_parameters_that_only_the_client_knows_arrive(url: str, parameter: str, keyword: str, value: str) -> None:
    with engine_at(f"{url}?{parameter}") as engine, engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        used = {option.keyword.decode(): option.val for option in driver.pgconn.info}
        assert (used[keyword] or b"").decode() == value


def test_several_hosts_are_tried(url: str) -> None:
    port = urlsplit(url).port
    path = urlsplit(url).path
    for hosts in (f"host=127.0.0.1:1&host=127.0.0.1:{port}", f"host=127.0.0.1,127.0.0.1&port=1,{port}"):
        with engine_at(f"postgresql://postgres:secret@{path}?{hosts}&target_session_attrs=read-write") as engine:
            assert ask(engine, "SELECT 1") == 1


def test_a_service_file_and_pgoptions_are_heeded(schemas: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = urlsplit(schemas)
    file = tmp_path / "services.conf"
    lines = ["[t]", "host=127.0.0.1", f"port={parts.port}", f"dbname={parts.path[1:]}", "user=postgres"]
    file.write_text("\n".join([*lines, "options=-csearch_path=tenant_a", ""]))
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    with engine_at("postgresql://?service=t", PASSWORD="secret") as engine:
        assert ask(engine, "SHOW search_path") == "tenant_a"
        assert ask(engine, "SHOW TimeZone") == "UTC"
    monkeypatch.setenv("PGOPTIONS", "-csearch_path=tenant_b")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with engine_at(schemas) as engine:
        assert ask(engine, "SHOW search_path") == "tenant_b"
        assert {name: ask(engine, f"SHOW {name}") for name in OURS} == OURS


def test_pgoptions_that_collide_with_a_setting_of_ours_are_refused(
    schemas: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=0")
    with engine_at(schemas) as engine, pytest.raises(TargetFailure, match=r"PGOPTIONS.*statement_timeout_seconds"):
        schema_differences(engine)


def test_a_parameter_that_libpq_does_not_know_is_refused_by_its_name(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^databases\.d\.url: has sslmod, "):
        engine_for(tenant(f"{url}?sslmod=require"))


def test_a_database_whose_encoding_is_none_is_used_like_any_other(servers: Services) -> None:
    run(
        servers.postgres_url, "CREATE DATABASE bare ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    url = servers.postgres_url.removesuffix("demo") + "bare"
    with engine_at(url) as engine:
        assert {name: ask(engine, f"SHOW {name}") for name in OURS} == OURS
        upgrade(engine)
        assert schema_differences(engine) == []
    assert write(url, "", a_case(1, case_Reason="ä€😀")) == [CREATED]
    with engine_at(url) as engine:
        assert ask(engine, "SELECT case_reason FROM care_case") == "ä€😀"


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
    for tenant_url, schema in ((schemas, "tenant_a"), (of_role, "tenant_b")):
        with engine_at(tenant_url) as engine:
            upgrade(engine)
            assert schema_differences(engine) == []
            assert ask(engine, "SELECT 'care_case'::regclass::oid") == ask(
                engine, f"SELECT '{schema}.care_case'::regclass::oid"
            )
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
        run(a_only, "CREATE FUNCTION public.of_all() RETURNS int LANGUAGE sql AS 'SELECT 7'")
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


def test_an_upgrade_waits_for_another_one_however_long_that_takes(schemas: str) -> None:
    other = create_engine(schemas)
    with engine_at(schemas, LOCK_TIMEOUT_SECONDS="0.1", STATEMENT_TIMEOUT_SECONDS="1") as engine:
        with other.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(1667330661)"))
            upgrading = threading.Thread(target=upgrade, args=(engine,))
            upgrading.start()
            upgrading.join(1.5)
            assert upgrading.is_alive(), "it waits, although a worker would not"
        upgrading.join(120)
        assert schema_differences(engine) == []
    other.dispose()


@pytest.mark.parametrize(("path", "used"), [("Tenant_A", "tenant_a"), ('"Mixed"', "Mixed"), ('"a,b"', "a,b")])
def test_names_of_schemas_are_read_as_postgresql_does(schemas: str, path: str, used: str) -> None:
    run(schemas, *(f'DROP SCHEMA IF EXISTS "{name}" CASCADE' for name in ("Mixed", "a,b")))
    run(schemas, 'CREATE SCHEMA "Mixed"', 'CREATE SCHEMA "a,b"')
    with engine_at(schemas, f"-csearch_path={path},pg_catalog") as engine:
        upgrade(engine)
        assert schema_differences(engine) == []
        assert ask(engine, "SELECT current_schema()") == used


def test_tenants_of_one_database_are_upgraded_at_the_same_time(schemas: str) -> None:
    failed: list[BaseException] = []

    def upgrade_one(path: str) -> None:
        try:
            with engine_at(schemas, f"-csearch_path={path}") as engine:
                upgrade(engine)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    paths = ("tenant_a", "tenant_b,tenant_a", "public,tenant_b")
    threads = [threading.Thread(target=upgrade_one, args=(path,)) for path in paths * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for path in paths:
        with engine_at(schemas, f"-csearch_path={path}") as engine:
            assert schema_differences(engine) == []


def test_an_sqlite_file_that_is_read_only_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cases.sqlite"
    with engine_at(f"sqlite:///{path}") as engine:
        upgrade(engine)
    read_only = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(TargetFailure, match="takes no writes"):
        schema_differences(read_only)
    read_only.dispose()


@pytest.fixture
def pooled(url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of the database through a pooler that lends sessions for a transaction."""
    program = need("pgbouncer", "Debian's pgbouncer")
    server, port = urlsplit(url), free_port()
    (tmp_path / "users.txt").write_text(f'"{server.username}" "{server.password}"\n')
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nunix_socket_dir =\n"
        f"listen_port = {port}\nauth_type = plain\nauth_file = {tmp_path}/users.txt\npool_mode = transaction\n"
    )
    for path in (tmp_path, *tmp_path.iterdir()):
        path.chmod(0o755)
    process = subprocess.Popen([program, "--quiet", "--user", "nobody", str(tmp_path / "pgbouncer.ini")])
    try:
        yield url.replace(f":{server.port}/", f":{port}/")
    finally:
        process.terminate()
        process.wait(60)


def test_a_pooler_that_lends_sessions_is_refused(pooled: str) -> None:
    """Deadlines that are set for a session would hold for somebody else's, and not for ours."""

    def told() -> str:
        with pytest.raises(TargetFailure) as failure:
            write(pooled, "", a_case(1))
        return str(failure.value)

    assert "a connection pooler stands before it" in eventually(lambda: "listens" not in told() and told())
