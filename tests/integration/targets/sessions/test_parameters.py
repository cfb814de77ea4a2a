"""The parameters of a URL reach libpq and the session, and carecase's own settings come last."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine
from tests.builders import a_case
from tests.integration.targets.databases import a_database, ask, engine_at, run, tenant
from tests.integration.targets.sessions.writing import write
from tests.services import Services

from carecase_worker.cases.outcomes import CREATED
from carecase_worker.errors import SettingsError, TargetFailure
from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import schema_differences

OURS = {
    "statement_timeout": "8s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "16s",
    "client_connection_check_interval": "1s", "TimeZone": "UTC", "client_encoding": "UTF8", "synchronous_commit": "on",
}  # fmt: skip


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


THEIRS = {
    "statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
    "client_connection_check_interval": "0", "TimeZone": "Asia/Tokyo", "client_encoding": "LATIN1",
    "synchronous_commit": "off",
}  # fmt: skip


def test_what_a_database_sets_for_its_sessions_counts_less_than_ours(servers: Services) -> None:
    assert THEIRS.keys() == OURS.keys()
    url = a_database(servers)
    name = urlsplit(url).path[1:]
    run(url, *(f"ALTER DATABASE {name} SET {setting} = '{value}'" for setting, value in THEIRS.items()))
    with engine_at(url) as engine:
        assert {setting: ask(engine, f"SHOW {setting}") for setting in OURS} == OURS


def test_the_limits_of_a_transaction_end_with_it(url: str) -> None:
    """Else a chunk would have what was left of the time of one before."""
    with engine_at(url) as engine, engine.connect() as connection:

        def shown(*names: str) -> list[object]:
            return [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]

        writing = dialect_of(connection).writing
        writing.limit_statements(connection, 1)
        assert shown("statement_timeout", "lock_timeout") == ["1s", "800ms"]
        writing.lift_deadline(connection)
        assert shown("statement_timeout", "lock_timeout") == ["0", "800ms"]
        connection.commit()
        assert shown(*OURS) == [*OURS.values()]


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
        ("", "keepalives_idle", "5"),
        ("", "keepalives_interval", "2"),
        ("", "keepalives_count", "3"),
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


def test_an_sqlite_file_that_is_read_only_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "cases.sqlite"
    with engine_at(f"sqlite:///{path}") as engine:
        upgrade(engine)
    read_only = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(TargetFailure, match="takes no writes"):
        schema_differences(read_only)
    read_only.dispose()
