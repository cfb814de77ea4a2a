"""The units, started by a systemd on real servers as the page says: they get their secrets, apply a batch, and stop."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import create_engine, text
from tests.acceptance.system import eventually
from tests.builders import a_case
from tests.deployment.machine import Machine, booted, prepare
from tests.deployment.units import ROOT, UNITS, lines
from tests.needs import need
from tests.plain_http import http_client, http_get
from tests.ports import free_port
from tests.services import PASSWORDS, Services, services

from carecase_worker.settings.loading import process_environment

UNIT_OF = {
    "carecase-intake": "carecase-intake",
    "carecase-worker@1": "carecase-worker@",
    "carecase-worker@2": "carecase-worker@",
    "carecase-flower": "carecase-flower",
}
SERVING = tuple(UNIT_OF)
API_KEY, VALUE = "cck_of_these_tests", "0123456789abcdef" * 4
KEYS = "k1:" + "A" * 43 + "="
SECRETS = {
    "redis_password": PASSWORDS["carecase"],
    "encryption_keys": KEYS,
    "jwt_secret": VALUE,
    "audit_keys": KEYS,
    "flower_password": "flowers",
    "flower_redis_password": PASSWORDS["flower"],
    "postgres_password": "of-the-owner",
    "worker_postgres_password": "of-the-worker",
}
CONFIG = """
[redis]
url = "redis://carecase@{redis}/0"
[flower]
broker_url = "redis://flower@{redis}/0"
port = {flower}
[intake]
port = {intake}
rate_per_second = 0
[clients.demo]
api_key_sha256 = ["{key}"]
databases = ["demo"]
[databases.demo]
url = "postgresql+psycopg://carecase_worker@{postgres}/demo"
"""
TO_A_FILE = "[Service]\nStandardOutput=append:/var/told/units\nStandardError=append:/var/told/units\n"


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: free_port() for name in ("intake", "flower", "worker")}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Servers of its own: the owner of a database is to make its tables, which other tests have made elsewhere."""
    with services(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(scope="module")
def machine(servers: Services, ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which the units are installed and the tables are made, as the page says."""
    place = tmp_path_factory.mktemp("machine")
    etc = prepare(place)
    redis, postgres = (urlsplit(url).netloc.rpartition("@")[2] for url in (servers.redis_url, servers.postgres_url))
    install(etc, postgres)
    config = CONFIG.format(redis=redis, postgres=postgres, key=sha256(API_KEY.encode()).hexdigest(), **ports)
    (etc / "carecase" / "carecase.toml").write_text(config)
    (etc / "carecase" / "worker-1.env").write_text(f"CARECASE_WORKER_PORT={ports['worker']}\n")
    give_owner(servers.postgres_url)
    with booted(place) as machine:
        machine.run("systemd-sysusers")
        machine.run("systemctl", "start", "carecase-migrate")
        grant(etc, servers.postgres_url)
        machine.run("systemctl", "start", "carecase.target", *SERVING)
        yield machine


def install(etc: Path, postgres: str) -> None:
    """Put the units, the user and the secrets in their places; the drop-in of the migration names the server."""
    units = etc / "systemd" / "system"
    shutil.copytree(UNITS, units, dirs_exist_ok=True)
    (units / "carecase-.service.d" / "tests.conf").write_text(TO_A_FILE)
    owner = units / "carecase-migrate.service.d" / "databases.conf"
    owner.write_text(owner.read_text().replace("127.0.0.1:5432", postgres))
    (etc / "sysusers.d").mkdir()
    (units / "sysusers.conf").rename(etc / "sysusers.d" / "carecase.conf")
    secrets = etc / "carecase" / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    for name, value in SECRETS.items():
        (secrets / name).write_text(f"{value}\n")
        (secrets / name).chmod(0o600)


def give_owner(url: str) -> None:
    """Have the database belong to the user that the page calls its owner."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        made = f"CREATE ROLE carecase LOGIN CREATEROLE PASSWORD '{SECRETS['postgres_password']}'"
        connection.execute(text(made))
        connection.execute(text("ALTER DATABASE demo OWNER TO carecase"))
    engine.dispose()


def grant(etc: Path, url: str) -> None:
    """Make the workers' user, by the command of the page."""
    file = etc / "carecase" / "secrets" / "worker_postgres_password"
    options = ("--no-psqlrc", "--set", "role=carecase_worker", "--file", str(ROOT / "config" / "least-privilege.sql"))
    subprocess.run(
        [need("psql", "Debian's postgresql-client"), url.replace("+psycopg", ""), *options],
        env=process_environment() | {"ROLE_PASSWORD_FILE": str(file)}, check=True, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture
def client(machine: Machine, ports: dict[str, int]) -> Iterator[httpx.Client]:
    """A client of the intake, with a token that the machine's administrator made."""
    token = machine.run(
        "env", "CARECASE_JWT_SECRET_FILE=/etc/carecase/secrets/jwt_secret", "/opt/carecase/bin/carecase",
        "token", "new", "--client", "demo", "--config", "/etc/carecase/carecase.toml",
    )  # fmt: skip
    headers = {
        "x-api-key": API_KEY,
        "Authorization": f"Bearer {token.strip()}",
        "vbasoftware-database": "demo",
        "Prefer": "wait=60",
    }
    with http_client(base_url=f"http://127.0.0.1:{ports['intake']}", headers=headers, timeout=90) as client:
        yield client


def is_ready(url: str) -> bool:
    try:
        return http_get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(autouse=True, scope="module")
def _ready(machine: Machine, ports: dict[str, int]) -> None:
    """Wait until intake and worker are ready."""
    for role in ("intake", "worker"):
        eventually(partial(is_ready, f"http://127.0.0.1:{ports[role]}/readyz"), what=f"{role} is ready")
    assert [machine.show(unit, "ActiveState") for unit in SERVING] == ["active"] * len(SERVING), machine.log()


@pytest.mark.parametrize("unit", SERVING)
def test_each_unit_has_its_credentials_where_no_other_can_read_them(machine: Machine, unit: str) -> None:
    names = {line.partition(":")[0] for line in lines(UNIT_OF[unit], "LoadCredential")}
    pid = machine.show(unit, "MainPID")
    place = f"/proc/{pid}/root/run/credentials/{unit}.service"
    assert set(machine.run("ls", place).split()) == names
    assert machine.run("stat", "--format=%A %U", place).split() == ["dr-x------", "carecase"]
    assert all(machine.run("stat", "--format=%s", f"{place}/{name}").strip() != "0" for name in names)


def test_a_batch_is_applied(machine: Machine, client: httpx.Client) -> None:
    response = client.put("/care-cases-batch", json=[a_case(key) for key in range(3)])
    assert response.status_code == 207, response.text
    assert [item["status"] for item in response.json()["data"]] == [201] * 3
    assert [machine.show(unit, "NRestarts") for unit in SERVING] == ["0"] * len(SERVING), machine.log()


def test_flower_is_there_behind_its_password(machine: Machine, ports: dict[str, int]) -> None:
    page = f"http://127.0.0.1:{ports['flower']}/flower/tasks"
    eventually(lambda: http_get(page, auth=("flower", SECRETS["flower_password"])).status_code == 200, what="the page")
    assert http_get(page).status_code == 401, machine.log()


def test_a_worker_that_is_killed_is_started_again(machine: Machine, ports: dict[str, int]) -> None:
    before = machine.show("carecase-worker@1", "MainPID")
    machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "carecase-worker@1")
    eventually(lambda: machine.show("carecase-worker@1", "MainPID") not in (before, "0"), what="there is another one")
    eventually(lambda: is_ready(f"http://127.0.0.1:{ports['worker']}/readyz"), what="it is ready")


def test_everything_stops_within_its_time_and_is_told_to_have_ended_well(machine: Machine) -> None:
    machine.run("systemctl", "stop", *SERVING)
    assert [machine.show(unit, "Result") for unit in SERVING] == ["success"] * len(SERVING), machine.log()
    assert [machine.show(unit, "ActiveState") for unit in SERVING] == ["inactive"] * len(SERVING)
