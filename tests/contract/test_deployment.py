"""The compose file and the image, as far as they can be checked without running them."""

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from carecase_worker.jobs.acl import APP, FLOWER, app_rules, flower_rules
from carecase_worker.settings.loading import load

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
OURS = ("migrate", "intake", "worker", "flower")


def environment_of(name: str) -> dict[str, str]:
    return dict(COMPOSE["services"][name]["environment"])


def test_every_part_is_there_and_is_watched() -> None:
    services: dict[str, Any] = COMPOSE["services"]
    assert set(services) == {"redis", "postgres", *OURS}
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"migrate"}
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            condition = "service_completed_successfully" if needed == "migrate" else "service_healthy"
            assert how["condition"] == condition, name


@pytest.mark.parametrize("name", OURS)
def test_every_setting_that_it_names_exists(name: str) -> None:
    settings = load(environment=environment_of(name))
    assert settings.databases["demo"].url.get_secret_value().startswith("postgresql+psycopg://")
    assert settings.clients["demo"].databases == ("demo",)
    assert settings.redis.address == f"redis://carecase:{VALUE}@redis:6379/0"
    assert settings.encryption.by_id


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    words = COMPOSE["services"][name]["command"]
    module = {"db": "databases"}.get(words[0], words[0])
    assert (ROOT / "src" / "carecase_worker" / "cli" / f"{module}.py").exists()


def test_redis_keeps_what_it_accepts() -> None:
    command = " ".join(COMPOSE["services"]["redis"]["command"])
    for needed in (
        "--appendonly yes",
        "--appendfsync always",
        "--maxmemory-policy noeviction",
        "--rdbcompression no",
        '--save ""',
        "--maxmemory",
    ):
        assert needed in command


def test_its_users_of_redis_may_do_what_the_service_needs_and_no_more(tmp_path: Path) -> None:
    redis = COMPOSE["services"]["redis"]
    (script,) = redis["command"]
    script = script.replace("$$", "$").replace("/tmp/users.acl", f"{tmp_path}/users.acl")
    prepared, _, started = script.partition("chown valkey")
    assert "valkey-server --aclfile" in started
    subprocess.run(
        [*redis["entrypoint"], prepared], env={**redis["environment"], "PATH": os.environ["PATH"]}, check=True
    )
    digest = hashlib.sha256(VALUE.encode()).hexdigest()
    assert (tmp_path / "users.acl").read_text().splitlines() == [
        "user default off",
        f"user {APP} on #{digest} {app_rules('c:', 'b:')}",
        f"user {FLOWER} on #{digest} {flower_rules('b:')}",
    ]
    assert (tmp_path / "users.acl").stat().st_mode & 0o077 == 0
    assert VALUE not in " ".join(redis["command"]), "others on the machine see a command"


def test_no_health_check_is_fooled() -> None:
    """A database that is being made answers on its socket only; Podman splits a list of words at the spaces in them."""
    checks = {
        name: service["healthcheck"]["test"] for name, service in COMPOSE["services"].items() if name != "migrate"
    }
    assert "--host 127.0.0.1" in checks["postgres"][1]
    assert all(check[0] == "CMD-SHELL" or " " not in "".join(check) for check in checks.values())
    assert "intake" not in " ".join(checks["worker"]), "a worker is well if it works, whoever else does"


@pytest.mark.parametrize("name", ["redis", "postgres", *OURS])
def test_no_log_grows_without_end(name: str) -> None:
    assert COMPOSE["services"][name]["logging"]["options"] == {"max-size": "20m", "max-file": "5"}


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_writes_to_tmp_only_and_may_do_nothing_special(name: str) -> None:
    service = COMPOSE["services"][name]
    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_nothing_is_published_to_other_machines_unless_it_is_wanted() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert sorted(published) == ["127.0.0.1:5555:5555", "127.0.0.1:8080:8080"]


def test_whoever_is_stopped_has_time_to_end_what_it_does() -> None:
    graces = {name: service.get("stop_grace_period") for name, service in COMPOSE["services"].items()}
    settings = load(environment=environment_of("worker"))
    assert int(graces["worker"][:-1]) > settings.worker.chunk_deadline.total_seconds() + 10
    assert int(graces["intake"][:-1]) > 10, "uvicorn's graceful shutdown"
    assert graces["redis"] == graces["postgres"] == "60s"
    assert all(graces.values()), "Podman's API kills at once whoever has none"


def test_there_is_no_secret_in_it_and_the_example_names_every_one() -> None:
    needed = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+):\?", TEXT))
    assert needed == set(re.findall(r"^([A-Z0-9_]+)=$", EXAMPLE, flags=re.MULTILINE))
    defaults = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+):-([^}]*)\}", TEXT))
    assert defaults == set(re.findall(r"^# ([A-Z0-9_]+)=(.+)$", EXAMPLE, flags=re.MULTILINE))
    for line in TEXT.splitlines():
        if re.search(r"PASSWORD|SECRET|_SHA256|AUTH", line):
            assert "${" in line, line


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
