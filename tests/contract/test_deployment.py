"""The compose file and the image, as far as they can be checked without running them."""

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from carecase_worker.settings.loading import load
from carecase_worker.settings.sections.flower import FlowerSettings
from carecase_worker.store.redis.acl import APP, FLOWER, app_rules, flower_rules

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / "config" / "compose.env.example").read_text()
VALUE = "0123456789abcdef" * 4
KEYS = "k1:" + "A" * 43 + "="
COMPOSE = yaml.safe_load(
    re.sub(
        r"(?<!\$)\$\{([A-Z0-9_]+):(\?|-)([^}]*)\}",
        lambda found: found[3] if found[2] == "-" else KEYS if found[1] == "ENCRYPTION_KEYS" else VALUE,
        TEXT,
    )
)
OURS = ("migrate", "intake", "worker", "flower", "doctor")
ONCE = {"migrate", "grants", "doctor"}
SECRETS = {
    "redis": {"redis_password", "flower_redis_password"},
    "postgres": {"postgres_password"},
    "migrate": {"postgres_password"},
    "grants": {"postgres_password", "worker_postgres_password"},
    "intake": {"redis_password", "encryption_keys", "jwt_secret", "audit_keys"},
    "worker": {"redis_password", "encryption_keys", "worker_postgres_password"},
    "flower": {"flower_password", "flower_redis_password"},
    "proxy": set[str](),
    "doctor": {"redis_password", "encryption_keys", "jwt_secret", "audit_keys", "worker_postgres_password"},
}
"""Each role's secrets: what its part needs. Only `doctor` has more, which runs when it is called and serves nobody."""


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the secrets, as they lie in a container."""
    place = tmp_path_factory.mktemp("secrets")
    for name in COMPOSE["secrets"]:
        (place / name).write_text(f"{KEYS if name.endswith('_keys') else VALUE}\n")
    return place


def environment_of(name: str, secrets: Path) -> dict[str, str]:
    """A service's environment, in which the files of its secrets are found."""
    environment: dict[str, str] = COMPOSE["services"][name]["environment"]
    return {variable: value.replace("/run/secrets", str(secrets)) for variable, value in environment.items()}


def test_every_part_is_there_and_is_watched() -> None:
    services: dict[str, Any] = COMPOSE["services"]
    assert set(services) == {"redis", "postgres", "grants", "proxy", *OURS}
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"proxy", *ONCE}
    assert {name: service["profiles"] for name, service in services.items() if "profiles" in service} == {
        "proxy": ["tls"],
        "doctor": ["tools"],
    }
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            condition = "service_completed_successfully" if needed in ONCE else "service_healthy"
            assert how["condition"] == condition, name


@pytest.mark.parametrize("name", OURS)
def test_every_setting_that_it_names_exists_and_it_has_the_secrets_of_its_part_only(name: str, secrets: Path) -> None:
    settings = load(environment=environment_of(name, secrets))
    has = {
        "redis_password": settings.redis.address == f"redis://carecase:{VALUE}@redis:6379/0",
        "encryption_keys": bool(settings.encryption.by_id),
        "jwt_secret": settings.jwt.secret is not None,
        "audit_keys": bool(settings.audit.by_id),
        "flower_password": settings.flower.password is not None,
        "flower_redis_password": settings.flower_broker_url == f"redis://flower:{VALUE}@redis:6379/0",
    }
    database = settings.databases["demo"]
    user = urlsplit(database.url.get_secret_value()).username
    role = {"carecase": "postgres_password", "carecase_worker": "worker_postgres_password"}.get(str(user), "none")
    assert (database.password is not None) == (role in SECRETS[name])
    assert {secret for secret, is_there in has.items() if is_there} == SECRETS[name] - {role}
    clients = ("demo",) if name in ("intake", "doctor") else ()
    assert tuple(settings.clients) == clients


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_a_file_and_goes_to_nobody_else(name: str) -> None:
    service = COMPOSE["services"][name]
    assert set(service.get("secrets", ())) == SECRETS[name]
    assert COMPOSE["secrets"].keys() == set().union(*SECRETS.values())
    assert all(source == {"file": f"./secrets/{secret}"} for secret, source in COMPOSE["secrets"].items())
    files = {value.rpartition("/")[2] for value in service.get("environment", {}).values() if "/run/secrets/" in value}
    assert files <= SECRETS[name]
    assert VALUE not in str({**service, "environment": ""}), "others on the machine see a command"
    shown = {variable for variable, value in service.get("environment", {}).items() if VALUE in value}
    assert shown <= {"CARECASE_CLIENTS_DEMO_API_KEY_SHA256"}, "whoever may ask the engine sees the environment"


@pytest.mark.parametrize("name", SECRETS)
def test_a_container_is_bounded_and_leaves_no_memory_behind(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["ulimits"] == {"core": 0}
    assert service["mem_limit"][-1] in "mg"
    assert 0 < service["pids_limit"] <= 300
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["redis", "postgres", "grants", "proxy"])
def test_an_image_of_others_can_be_pinned_to_its_digest(name: str) -> None:
    (line,) = re.findall(rf"^  {name}:\n(?:    .*\n|\n)*?    image: (.*)$", TEXT, flags=re.MULTILINE)
    assert re.fullmatch(r'"\$\{(VALKEY|POSTGRES|CADDY)_IMAGE:-[a-z/]+:\d+\}"', line)
    froms = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert set(froms) == {"${PYTHON_IMAGE}"}


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    words = COMPOSE["services"][name]["command"]
    module = {"db": "databases"}.get(words[0], words[0])
    assert list((ROOT / "src" / "carecase_worker" / "cli").rglob(f"{module}.py"))


def test_redis_keeps_what_it_accepts() -> None:
    command = " ".join(COMPOSE["services"]["redis"]["command"])
    for needed in (
        "--appendonly yes",
        "--appendfsync always",
        "--maxmemory-policy noeviction",
        "--rdbcompression no",
        '--save ""',
        "--maxmemory",
        "--maxmemory-clients 10%",
    ):
        assert needed in command


def test_what_must_last_lies_in_a_volume_where_its_writer_writes() -> None:
    """Valkey's image writes to /data; PostgreSQL's, from 18 on, to one of its version in /var/lib/postgresql."""
    services = COMPOSE["services"]
    directory = services["intake"]["environment"]["CARECASE_AUDIT_DIRECTORY"]
    assert services["redis"]["volumes"] == ["redis:/data"]
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert services["intake"]["volumes"] == [f"audit:{directory}"]
    assert services["doctor"]["volumes"] == [
        f"audit:{services['doctor']['environment']['CARECASE_AUDIT_DIRECTORY']}:ro"
    ]
    assert COMPOSE["volumes"].keys() == {"redis", "postgres", "audit", "proxy"}


def test_what_serves_comes_back_and_a_command_that_has_ended_does_not() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped"), name
    assert all(COMPOSE["services"][name]["init"] for name in OURS), "else SIGTERM during a start is not heard"


def test_the_number_of_workers_is_in_env_and_no_page_has_it_given_to_one_up_alone() -> None:
    """With `up --scale`, the next `up` without it, as for an upgrade, would stop all but one."""
    assert COMPOSE["services"]["worker"]["scale"] == 1
    assert "scale: ${WORKERS:-1}" in TEXT
    assert "# WORKERS=1\n" in EXAMPLE
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert [page.name for page in pages if "docker compose up --detach --scale" in page.read_text()] == []


def test_a_server_may_load_its_data_for_five_minutes_before_it_counts_as_unhealthy() -> None:
    for name in ("redis", "postgres"):
        assert COMPOSE["services"][name]["healthcheck"]["start_period"] == "300s"


def test_postgresql_logs_no_statement_and_nothing_that_a_constraint_says() -> None:
    _, *options = COMPOSE["services"]["postgres"]["command"]
    assert set(zip(options[::2], options[1::2], strict=True)) == {
        ("-c", "log_min_messages=fatal"),
        ("-c", "log_min_error_statement=panic"),
        ("-c", "log_error_verbosity=terse"),
    }


def test_its_users_of_redis_may_do_what_the_service_needs_and_no_more(tmp_path: Path, secrets: Path) -> None:
    redis = COMPOSE["services"]["redis"]
    (script,) = redis["command"]
    script = script.replace("$$", "$").replace("/tmp/users.acl", f"{tmp_path}/users.acl")
    prepared, _, started = script.partition("chown valkey")
    assert "valkey-server --aclfile" in started
    subprocess.run(
        [*redis["entrypoint"], prepared], env={"SECRETS": str(secrets), "PATH": os.environ["PATH"]}, check=True
    )
    digest = hashlib.sha256(VALUE.encode()).hexdigest()
    assert (tmp_path / "users.acl").read_text().splitlines() == [
        "user default off",
        f"user {APP} on #{digest} {app_rules('c:', 'b:')}",
        f"user {FLOWER} on #{digest} {flower_rules('b:')}",
    ]
    assert (tmp_path / "users.acl").stat().st_mode & 0o077 == 0


def test_no_health_check_is_fooled() -> None:
    """A database that is being made answers on its socket only; Podman splits a list of words at the spaces in them."""
    checks = {
        name: service["healthcheck"]["test"]
        for name, service in COMPOSE["services"].items()
        if "healthcheck" in service
    }
    assert "--host 127.0.0.1" in checks["postgres"][1]
    assert "/livez'" in checks["intake"][1], "no restart brings back what is away"
    assert f"/{FlowerSettings.model_validate({}).url_prefix}/healthcheck'" in checks["flower"][1]
    assert all(check[0] == "CMD-SHELL" or " " not in "".join(check) for check in checks.values())
    assert checks["worker"] == ["CMD", "carecase", "worker", "--check"], (
        "a worker is well if it works, whoever else does"
    )


@pytest.mark.parametrize("name", SECRETS)
def test_no_log_grows_without_end(name: str) -> None:
    assert COMPOSE["services"][name]["logging"]["options"] == {"max-size": "20m", "max-file": "5"}


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_writes_to_tmp_only_and_may_do_nothing_special(name: str) -> None:
    service = COMPOSE["services"][name]
    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])


def test_nothing_is_published_to_other_machines_unless_it_is_wanted() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert sorted(published) == ["127.0.0.1:5555:5555", "127.0.0.1:8080:8080", "443:443"]
    assert COMPOSE["services"]["proxy"]["ports"] == ["443:443"], "what other machines reach speaks TLS"


def test_whoever_is_stopped_has_time_to_end_what_it_does(secrets: Path) -> None:
    services = COMPOSE["services"].items()
    graces = {name: service.get("stop_grace_period") for name, service in services if name != "grants"}
    settings = load(environment=environment_of("worker", secrets))
    assert int(graces["worker"][:-1]) > settings.worker.chunk_deadline.total_seconds() + 10
    assert int(graces["intake"][:-1]) > 10, "uvicorn's graceful shutdown"
    assert int(graces["proxy"][:-1]) > settings.intake.max_wait.total_seconds(), "a held answer passes through it"
    assert graces["redis"] == graces["postgres"] == "60s"
    assert all(graces.values()), "Podman's API kills at once whoever has none"


def test_there_is_no_secret_in_it_and_the_example_names_every_one() -> None:
    needed = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+):\?", TEXT))
    assert needed == set(re.findall(r"^([A-Z0-9_]+)=$", EXAMPLE, flags=re.MULTILINE))
    defaults = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+):-([^}]*)\}", TEXT))
    assert defaults == set(re.findall(r"^# ([A-Z0-9_]+)=(.+)$", EXAMPLE, flags=re.MULTILINE))
    for line in TEXT.splitlines():
        if re.search(r"PASSWORD|SECRET|_SHA256|AUTH|password", line):
            assert re.search(r"\$\{|secrets|-- password|_FILE|digest", line), line


def test_the_image_is_built_from_the_locks() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    installs = [line for line in lines if re.search(r"\bpip .*\binstall\b", line)]
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-deps --no-index" in line for line in installs)
    copied = {word for line in lines if line.startswith("COPY") and "--from" not in line for word in line.split()[1:-1]}
    assert all((ROOT / name).exists() for name in copied)
    kept = (ROOT / ".dockerignore").read_text().replace("!", "").split()
    assert copied <= set(kept)
    assert "requirements.lock" not in copied, "the tools of development are no part of it"


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements*.lock")), ids=lambda lock: lock.name)
def test_every_locked_dependency_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert re.search(r"^[a-z0-9][^\s=]*==", text, flags=re.MULTILINE)
    assert all(
        "--hash=sha256:" in part for part in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE) if part.strip()
    )
    assert "://" not in text


def test_any_other_setting_and_secret_reaches_its_role_by_an_override_as_the_page_shows(
    secrets: Path, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "operations" / "deployment.md").read_text()
    override = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0])
    config = tmp_path / "carecase.toml"
    config.write_text('[webhooks.crm]\nclient = "demo"\nurl = "https://crm.example.org/"\n')
    for name in override["secrets"]:
        (tmp_path / name).write_text(f"whsec_{VALUE}\n")
    for name, service in override["services"].items():
        (mount,) = service["volumes"]
        variables = {
            variable: value.replace(mount.split(":")[1], str(config)).replace("/run/secrets", str(tmp_path))
            for variable, value in service["environment"].items()
        }
        settings = load(environment=environment_of(name, secrets) | variables)
        assert bool(settings.webhooks["crm"].signing_secrets) == (name == "worker") == bool(service.get("secrets"))
