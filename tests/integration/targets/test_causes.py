"""The reason for which a database is away is reported, with what to do, and with nothing of its URL."""

import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from tests.acceptance.system import eventually
from tests.integration.targets.databases import a_database, engine_at, run
from tests.ports import free_port
from tests.services import Services, postgres_of
from tests.tls import certificates, tls_before

from carecase_worker.errors import TargetFailure
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.dialects.registry import dialect_of
from carecase_worker.targets.purge import purge_ledger
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import schema_differences


@pytest.fixture(scope="module")
def url(servers: Services) -> Iterator[str]:
    """A database with the schema, and a user `lesser` that owns it."""
    url = a_database(servers)
    with engine_at(url) as engine:
        upgrade(engine)
    run(url, "CREATE ROLE lesser2 LOGIN PASSWORD 'own'", "GRANT ALL ON ALL TABLES IN SCHEMA public TO lesser2")
    yield url
    run(url, "DROP OWNED BY lesser2", "DROP ROLE lesser2")


def cause_of(engine: Engine) -> Causes:
    """The cause that looking at the schema ends with; its text is fit to be shown."""
    with pytest.raises(TargetFailure) as caught:
        schema_differences(engine)
    failure, url = caught.value, engine.url
    assert failure.cause is not None
    assert str(failure).startswith(failure.cause.text)
    assert "\n" not in str(failure)
    secrets = (url.password, url.host, url.username, url.database)
    assert not [secret for secret in secrets if secret and len(secret) > 4 and secret in str(failure)]
    return Causes(failure.cause)


@pytest.mark.parametrize(
    ("instead_of", "other", "cause"),
    [
        ("postgres:secret@", "postgres:Wrong-Secret@", Causes.PASSWORD),
        ("postgres:secret@", "postgres@", Causes.PASSWORD),
        ("postgres:secret@", "nobody_known:Wrong-Secret@", Causes.PASSWORD),
        ("/own", "/missing", Causes.NO_DATABASE),
        ("127.0.0.1", "no-such-host.invalid", Causes.UNKNOWN_HOST),
        ("?", "?sslmode=require&", Causes.NO_TLS),
        ("?", "?service=nowhere&", Causes.SERVICE),
        ("?", "?host=/nowhere/certificate/timeout&", Causes.REFUSED),
        ("?", "?options=-csearch_path%3Dnowhere&", Causes.NO_SCHEMA),
        ("?", "?options=-cdefault_transaction_read_only%3Don&", Causes.READ_ONLY),
    ],
)
def test_a_url_that_leads_nowhere(url: str, instead_of: str, other: str, cause: Causes) -> None:
    with engine_at(f"{url}?".replace(instead_of, other, 1)) as engine:
        assert cause_of(engine) is cause


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("sslmode=perhaps", "sslmode"),
        ("channel_binding=perhaps", "channel_binding"),
        ("ssl_min_protocol_version=TLSv9", "ssl_min_protocol_version"),
        ("keepalives_idle=soon", "keepalives_idle"),
        ("target_session_attrs=perhaps", "target_session_attrs"),
        ("options=garbage", "options"),
        ("options=-c+geqo", "options"),
        ("options=-c+geqoo%3Doff", "options"),
        ("options=-c+work_mem%3Dmuch", "options"),
        ("options=-c+max_connections%3D1", "options"),
    ],
)
def test_a_bad_value_in_the_url_is_reported_by_the_parameters_name(url: str, query: str, parameter: str) -> None:
    with engine_at(f"{url}?{query}") as engine, pytest.raises(TargetFailure) as caught:
        schema_differences(engine)
    assert str(caught.value) == f"{Causes.PARAMETER.value.text} ({parameter})"


@pytest.mark.parametrize("asked", ["read-only", "standby"])
def test_a_service_that_asks_for_a_server_without_writes(url: str, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv("PGTARGETSESSIONATTRS", asked)
    with engine_at(url) as engine, pytest.raises(TargetFailure) as caught:
        schema_differences(engine)
    assert str(caught.value) == f"{Causes.PARAMETER.value.text} (target_session_attrs)"


def test_a_port_where_nothing_listens(url: str) -> None:
    with engine_at(url.replace(str(urlsplit(url).port), str(free_port()))) as engine:
        assert cause_of(engine) is Causes.REFUSED


def test_a_server_that_never_answers(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with engine_at(url.replace(str(urlsplit(url).port), str(port)), CONNECT_TIMEOUT_SECONDS="1") as engine:
            assert cause_of(engine) is Causes.TIMEOUT


def test_a_server_that_hangs_up(url: str) -> None:
    program = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
    program += "while True: s.accept()[0].close()"
    with subprocess.Popen(["python3", "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        try:
            with engine_at(url.replace(str(urlsplit(url).port), port)) as engine:
                assert cause_of(engine) is Causes.BROKEN
        finally:
            server.kill()


def test_a_certificate_that_nobody_vouches_for(url: str, tmp_path: Path) -> None:
    ours, strangers = (certificates(tmp_path / name) for name in ("ours", "strangers"))
    server = urlsplit(url).port
    assert server is not None
    with tls_before(server, ours, asks_first=True) as port:
        for authority in (strangers.ca, tmp_path / "nowhere.pem"):
            query = f"?sslmode=verify-full&sslrootcert={authority}"
            with engine_at(url.replace(str(server), str(port)) + query) as engine:
                assert cause_of(engine) is Causes.CERTIFICATE


@pytest.mark.parametrize(
    ("do", "undo", "cause"),
    [
        ("ALTER ROLE lesser2 CONNECTION LIMIT 0", "ALTER ROLE lesser2 CONNECTION LIMIT -1", Causes.CONNECTIONS),
        ("ALTER ROLE lesser2 NOLOGIN", "ALTER ROLE lesser2 LOGIN", Causes.NOT_ADMITTED),
        ("ALTER ROLE lesser2 VALID UNTIL '2020-01-01'", "ALTER ROLE lesser2 VALID UNTIL 'infinity'", Causes.PASSWORD),
        ("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", "GRANT CONNECT ON DATABASE {} TO PUBLIC", Causes.PRIVILEGE),
        ("ALTER DATABASE {} ALLOW_CONNECTIONS false", "ALTER DATABASE {} ALLOW_CONNECTIONS true", Causes.NOT_ACCEPTING),
        ("REVOKE USAGE ON SCHEMA public FROM PUBLIC", "GRANT USAGE ON SCHEMA public TO PUBLIC", Causes.NO_SCHEMA),
        (
            "ALTER DATABASE {} SET default_transaction_read_only = on",
            "ALTER DATABASE {} RESET default_transaction_read_only",
            Causes.READ_ONLY,
        ),
    ],
)  # fmt: skip
def test_a_server_that_does_not_let_this_user_work(
    servers: Services, url: str, do: str, undo: str, cause: Causes
) -> None:
    name = urlsplit(url).path[1:]
    where = url if "SCHEMA" in do else servers.postgres_url
    run(where, do.format(name))
    try:
        with engine_at(url.replace("postgres:secret@", "lesser2:own@")) as engine:
            assert cause_of(engine) is cause
    finally:
        run(where, undo.format(name))


def test_a_server_in_recovery(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("recovering")
    with postgres_of(place) as port:
        pass
    (place / "postgres" / "standby.signal").touch()
    at = f"postgresql://postgres:secret@127.0.0.1:{port}/postgres"
    with postgres_of(place, port), engine_at(at) as engine:
        eventually(lambda: cause_of(engine) is Causes.STANDBY, what="the standby lets itself be asked")
    with (place / "postgres" / "postgresql.conf").open("a") as file:
        file.write("hot_standby = off\n")
    with postgres_of(place, port), engine_at(at) as engine:
        assert cause_of(engine) is Causes.STARTING


def test_what_a_session_meets_once_it_is_there(url: str) -> None:
    with engine_at(url) as engine:
        for statement, cause in (
            ("SELECT pg_terminate_backend(pg_backend_pid())", Causes.STOPPED),
            ("SELECT * FROM nowhere", Causes.SCHEMA),
            ("SELECT nothing FROM care_case", Causes.SCHEMA),
            ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(9)", Causes.TIMEOUT),
            ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", Causes.DISK_FULL),
            ("DO $$ BEGIN RAISE SQLSTATE '53200'; END $$", Causes.RESOURCES),
            ("DO $$ BEGIN RAISE SQLSTATE 'XX001'; END $$", Causes.FAULT),
            ("SET LOCAL transaction_read_only = on; DELETE FROM care_case", Causes.READ_ONLY),
        ):
            with pytest.raises(SQLAlchemyError) as caught, engine.begin() as connection:
                connection.execute(text(statement))
            assert dialect_of(engine).errors.failure_of(caught.value).cause == cause.value, statement


def test_an_items_own_fault_has_no_cause(url: str) -> None:
    with engine_at(url) as engine:
        with pytest.raises(SQLAlchemyError) as caught, engine.begin() as connection:
            connection.execute(text("INSERT INTO care_case (case_key) VALUES (1)"))
        assert dialect_of(engine).errors.failure_of(caught.value).cause is None


def test_sqlite_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "text").write_text("This is no database, whatever its name may be. " * 100)
    for path, cause in (
        ("directory", Causes.NO_FILE),
        ("text", Causes.DAMAGED),
    ):
        with engine_at(f"sqlite:///{tmp_path / path}") as engine:
            assert cause_of(engine) is cause
    with engine_at(f"sqlite:///{tmp_path}/nowhere/cases.sqlite") as engine, pytest.raises(TargetFailure) as caught:
        upgrade(engine)
    assert caught.value.cause == Causes.NO_FILE.value


def test_an_sqlite_file_without_tables(tmp_path: Path) -> None:
    (tmp_path / "empty.sqlite").touch()
    with engine_at(f"sqlite:///{tmp_path / 'empty.sqlite'}") as engine, pytest.raises(TargetFailure) as caught:
        purge_ledger(engine, timedelta(days=1))
    assert caught.value.cause == Causes.SCHEMA.value
